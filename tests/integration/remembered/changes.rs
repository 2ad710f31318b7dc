//! What changes while a denial is remembered: what this guard does itself it knows at once, the rest after a while.

use std::time::{Duration, Instant};

use futures_util::future::join;
use rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::Operation,
    test_util::{FaultyStore, ManualClock},
};

use super::{Elsewhere, HOUR, admitted, denied, exhausted, policy};
use crate::support::redis_server::{RedisServer, run};

const DEFAULT: Duration = Duration::from_millis(250);

#[tokio::test]
async fn what_this_guard_gives_back_or_resets_it_knows_at_once() {
    let store = Elsewhere::new();
    let (guard, policy, key) = (store.guard(), policy(), Key::from("ann"));
    let reservation = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
    denied(&guard, &policy, &key).await;
    reservation.refund().await.unwrap();
    assert!(admitted(&guard, &policy, &key).await);
    guard.reset(&policy, &key).await.unwrap();
    let reservation = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
    denied(&guard, &policy, &key).await;
    reservation.settle(1).await.unwrap();
    assert!(admitted(&guard, &policy, &key).await);
    denied(&guard, &policy, &key).await;
    guard.reset(&policy, &key).await.unwrap();
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn what_this_guard_takes_is_told_at_once() {
    let store = Elsewhere::new();
    let (guard, policy, key) = (store.guard(), Policy::new("p", "9/hour").unwrap(), Key::global());
    let much = guard.request(&policy, &key).cost(8);
    assert!(much.check().await.unwrap().is_allowed());
    guard.reset(&policy, &key).await.unwrap();
    assert!(guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
    assert_eq!(much.check().await.unwrap().remaining(), 7);
    assert_eq!(much.check().await.unwrap().remaining(), 7);
    assert!(admitted(&guard, &policy, &key).await);
    assert_eq!(much.check().await.unwrap().remaining(), 6);
    guard.request(&policy, &key).cost(3).charge().await.unwrap();
    assert_eq!(much.check().await.unwrap().remaining(), 3);
}

#[tokio::test]
async fn what_is_done_though_nobody_waits_for_it_is_known_as_well() {
    let mut store = Elsewhere::new();
    store.late = Some((Operation::Refund, HOUR));
    let (guard, policy, key) = (store.guard(), policy(), Key::from("ann"));
    let reservation = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
    denied(&guard, &policy, &key).await;
    let refund = reservation.refund();
    assert!(tokio::time::timeout(Duration::from_millis(10), refund).await.is_err());
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn a_denial_that_may_be_older_than_a_reset_is_not_remembered() {
    let mut store = Elsewhere::new();
    let policy = policy();
    let key = exhausted(&store.guard(), &policy).await;
    store.late = Some((Operation::Check, Duration::from_millis(100)));
    let guard = store.guard();
    let reset = async {
        // It was denied by then, and does not know it yet.
        tokio::time::sleep(Duration::from_millis(10)).await;
        guard.reset(&policy, &key).await.unwrap();
    };
    join(denied(&guard, &policy, &key), reset).await;
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn what_others_give_back_is_noticed_after_the_stated_time() {
    let store = Elsewhere::new();
    let (guard, patient, other) = (store.remembering(DEFAULT), store.guard(), store.guard());
    let policy = policy();
    let key = exhausted(&guard, &policy).await;
    denied(&patient, &policy, &key).await;
    other.reset(&policy, &key).await.unwrap();
    tokio::time::sleep(DEFAULT).await;
    assert!(admitted(&guard, &policy, &key).await);
    denied(&patient, &policy, &key).await;
}

#[tokio::test]
async fn the_stated_time_begins_when_the_store_is_asked() {
    let mut store = Elsewhere::new();
    store.late = Some((Operation::Check, DEFAULT));
    let (guard, policy, key) = (store.remembering(2 * DEFAULT), policy(), Key::global());
    assert!(guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
    let reset = async {
        tokio::time::sleep(DEFAULT / 5).await;
        store.guard().reset(&policy, &key).await.unwrap();
    };
    join(denied(&guard, &policy, &key), reset).await;
    // The denial was so long on its way.
    tokio::time::sleep(DEFAULT).await;
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn on_redis_a_quarter_of_a_second_is_usual() {
    let redis = RedisServer::start();
    let guard = redis.as_usual("usual").deadline(HOUR / 60).build().unwrap();
    let asking = redis.guard("usual");
    let (policy, mut client) = (policy(), redis.client());
    loop {
        let key = Key::global();
        while admitted(&guard, &policy, &key).await {}
        let asked = Instant::now();
        let _: () = run(&mut client, "FLUSHALL");
        let is_remembered = !admitted(&guard, &policy, &key).await;
        // On a slow machine it may be over.
        if asked.elapsed() < DEFAULT / 2 {
            assert!(is_remembered);
            break;
        }
    }
    tokio::time::sleep(DEFAULT).await;
    assert!(admitted(&guard, &policy, &Key::global()).await);

    // Not if it is not wanted.
    let key = exhausted(&asking, &policy).await;
    let _: () = run(&mut client, "FLUSHALL");
    assert!(admitted(&asking, &policy, &key).await);
}

#[tokio::test]
async fn what_is_remembered_holds_also_while_the_store_does_not_answer() {
    let store = FaultyStore::new(Elsewhere::new());
    let settings = RateGuard::builder().store(store.clone()).remember_denials(DEFAULT);
    let (guard, policy) = (settings.build().unwrap(), policy());
    store.fail(StoreError::Unreachable);
    assert!(guard.check(&policy, &Key::global()).await.is_err());
    store.work();
    let failures = loop {
        let asked = Instant::now();
        let key = exhausted(&guard, &policy).await;
        let failures = guard.failures();
        store.fail(StoreError::Unreachable);
        let answer = guard.check(&policy, &key).await;
        if asked.elapsed() < DEFAULT {
            assert!(!answer.unwrap().is_allowed());
            break failures;
        }
        store.work();
    };
    assert_eq!(guard.failures().open, failures.open);
    assert!(guard.check(&policy, &Key::from("bob")).await.is_err());
    // Then it is not known any more, and what the policy says happens.
    tokio::time::sleep(DEFAULT).await;
    let unavailable = guard.check(&policy, &Key::from("ann")).await.unwrap_err();
    assert!(unavailable.lets_pass());

    store.work();
    exhausted(&guard, &policy).await;
    guard.close().await;
    assert!(guard.check(&policy, &Key::from("ann")).await.is_err());
}

#[tokio::test]
async fn a_store_that_answers_at_once_is_always_asked() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let settings = RateGuard::builder().store(store).remember_denials(HOUR);
    let (guard, policy) = (settings.build().unwrap(), policy());
    let key = exhausted(&guard, &policy).await;
    clock.advance(HOUR);
    assert!(admitted(&guard, &policy, &key).await);

    // One of somebody's own is asked unless it is said that it need not be.
    let store = Elsewhere::new();
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let key = exhausted(&guard, &policy).await;
    store.asked();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.asked(), 1);
}
