//! Tests operations on a key whose denial is cached. If the guard with the cache runs the operation, the cached
//! denial becomes invalid immediately. If a different guard runs the operation, the cached denial stays valid until
//! its TTL ends.

use std::time::{Duration, Instant};

use actix_rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::Operation,
    test_util::{FaultyStore, ManualClock},
};
use futures_util::future::join;

use super::{HOUR, RemoteStore, admitted, denied, exhausted, policy};
use crate::support::redis_server::{RedisServer, run};

const DEFAULT_TTL: Duration = Duration::from_millis(250);

#[tokio::test]
async fn own_refunds_and_resets_invalidate_immediately() {
    for store in RemoteStore::pending_and_ready() {
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
}

#[tokio::test]
async fn own_checks_and_debits_update_the_cached_remaining() {
    for store in RemoteStore::pending_and_ready() {
        let (guard, policy) = (store.guard(), Policy::new("p", "9/hour").unwrap());
        let key = Key::global();
        let costly = guard.request(&policy, &key).cost(8);
        assert!(costly.check().await.unwrap().is_allowed());
        guard.reset(&policy, &key).await.unwrap();
        assert!(guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
        assert_eq!(costly.check().await.unwrap().remaining(), 7);
        assert_eq!(costly.check().await.unwrap().remaining(), 7);
        assert!(admitted(&guard, &policy, &key).await);
        assert_eq!(costly.check().await.unwrap().remaining(), 6);
        guard.request(&policy, &key).cost(3).debit().await.unwrap();
        assert_eq!(costly.check().await.unwrap().remaining(), 3);
    }
}

#[tokio::test]
async fn own_shadow_checks_update_the_cached_remaining() {
    for store in RemoteStore::pending_and_ready() {
        let guard = store.guard();
        let enforced = Policy::new("p", "9/hour").unwrap();
        let shadow = enforced.clone().shadow();
        let key = Key::global();
        assert!(guard.request(&enforced, &key).cost(2).check().await.unwrap().is_allowed());
        let costly = guard.request(&enforced, &key).cost(8);
        assert_eq!(costly.check().await.unwrap().remaining(), 7);
        assert!(guard.check(&shadow, &key).await.unwrap().is_allowed());
        assert_eq!(costly.check().await.unwrap().remaining(), 6);
    }
}

#[tokio::test]
async fn cancelled_refund_invalidates_the_cache() {
    let mut store = RemoteStore::new();
    store.delay = Some((Operation::Refund, HOUR));
    let (guard, policy, key) = (store.guard(), policy(), Key::from("ann"));
    let reservation = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
    denied(&guard, &policy, &key).await;
    let refund = reservation.refund();
    assert!(tokio::time::timeout(Duration::from_millis(10), refund).await.is_err());
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn denial_older_than_a_reset_is_not_cached() {
    let mut store = RemoteStore::new();
    let policy = policy();
    let key = exhausted(&store.guard(), &policy).await;
    store.delay = Some((Operation::Check, Duration::from_millis(100)));
    let guard = store.guard();
    let reset = async {
        // The store has already denied the check, but the guard has not yet received the reply.
        tokio::time::sleep(Duration::from_millis(10)).await;
        guard.reset(&policy, &key).await.unwrap();
    };
    join(denied(&guard, &policy, &key), reset).await;
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn resets_by_other_guards_apply_after_the_cache_ttl() {
    let store = RemoteStore::new();
    let (guard, patient, other) = (store.guard_with_ttl(DEFAULT_TTL), store.guard(), store.guard());
    let policy = policy();
    let key = exhausted(&guard, &policy).await;
    denied(&patient, &policy, &key).await;
    other.reset(&policy, &key).await.unwrap();
    tokio::time::sleep(DEFAULT_TTL).await;
    assert!(admitted(&guard, &policy, &key).await);
    denied(&patient, &policy, &key).await;
}

#[tokio::test]
async fn cache_ttl_starts_when_the_check_is_sent() {
    let mut store = RemoteStore::new();
    store.delay = Some((Operation::Check, DEFAULT_TTL));
    let (guard, policy, key) = (store.guard_with_ttl(2 * DEFAULT_TTL), policy(), Key::global());
    assert!(guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
    let reset = async {
        tokio::time::sleep(DEFAULT_TTL / 5).await;
        store.guard().reset(&policy, &key).await.unwrap();
    };
    join(denied(&guard, &policy, &key), reset).await;
    // The TTL starts when the guard sends the check, so the wait for the reply is a part of the TTL.
    tokio::time::sleep(DEFAULT_TTL).await;
    assert!(admitted(&guard, &policy, &key).await);
}

#[tokio::test]
async fn redis_cache_ttl_defaults_to_250_ms() {
    let redis = RedisServer::start();
    let guard =
        redis.settings_with_denial_cache("default-ttl").deadline(HOUR / 60).build().unwrap();
    let uncached = redis.guard("default-ttl");
    let (policy, mut client) = (policy(), redis.client());
    loop {
        let key = Key::global();
        while admitted(&guard, &policy, &key).await {}
        let started = Instant::now();
        let _: () = run(&mut client, "FLUSHALL");
        let is_cached = !admitted(&guard, &policy, &key).await;
        // On a slow machine, the TTL may already have ended. In this case, the loop repeats this part of the test.
        if started.elapsed() < DEFAULT_TTL / 2 {
            assert!(is_cached);
            break;
        }
    }
    tokio::time::sleep(DEFAULT_TTL).await;
    assert!(admitted(&guard, &policy, &Key::global()).await);

    // This guard has no denial cache, so it sends each check to the store.
    let key = exhausted(&uncached, &policy).await;
    let _: () = run(&mut client, "FLUSHALL");
    assert!(admitted(&uncached, &policy, &key).await);
}

#[tokio::test]
async fn cached_denials_apply_while_the_store_is_down() {
    let store = FaultyStore::new(RemoteStore::new());
    let settings = RateGuard::builder().store(store.clone()).denial_cache_ttl(DEFAULT_TTL);
    let (guard, policy) = (settings.build().unwrap(), policy());
    store.fail(StoreError::Unreachable(None));
    assert!(guard.check(&policy, &Key::global()).await.is_err());
    store.work();
    let failures = loop {
        let started = Instant::now();
        let key = exhausted(&guard, &policy).await;
        let failures = guard.failures();
        store.fail(StoreError::Unreachable(None));
        let result = guard.check(&policy, &key).await;
        if started.elapsed() < DEFAULT_TTL {
            assert!(!result.unwrap().is_allowed());
            break failures;
        }
        store.work();
    };
    assert_eq!(guard.failures().open, failures.open);
    assert!(guard.check(&policy, &Key::from("bob")).await.is_err());
    // After the TTL, the guard must call the store again. The store is down, so the guard must apply the failure mode
    // of the policy.
    tokio::time::sleep(DEFAULT_TTL).await;
    let unavailable = guard.check(&policy, &Key::from("ann")).await.unwrap_err();
    assert!(unavailable.lets_pass());

    store.work();
    exhausted(&guard, &policy).await;
    guard.close().await;
    assert!(guard.check(&policy, &Key::from("ann")).await.is_err());
}

#[tokio::test]
async fn memory_store_bypasses_the_denial_cache() {
    let clock = ManualClock::new();
    let store = MemoryStore::new().clock(clock.clone());
    let settings = RateGuard::builder().store(store).denial_cache_ttl(HOUR);
    let guard = settings.build().unwrap();
    // A policy with one quota uses the fast path, which decides a check without an allocation. A policy with two quotas
    // uses the function `apply` of the store.
    for quotas in ["2/hour", "2/hour; 9/day"] {
        let policy = Policy::new("p", quotas).unwrap();
        let key = exhausted(&guard, &policy).await;
        clock.advance(HOUR);
        assert!(admitted(&guard, &policy, &key).await);
        guard.reset(&policy, &key).await.unwrap();
    }

    // A guard with a custom asynchronous store has no denial cache by default.
    let store = RemoteStore::new();
    let (guard, policy) = (RateGuard::builder().store(store.clone()).build().unwrap(), policy());
    let key = exhausted(&guard, &policy).await;
    store.take_calls();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.take_calls(), 1);
}
