//! Waiting for room instead of being denied.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use rateguard::{
    Key, MemoryStore, Policy, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store},
    test_util::{FaultyStore, TokioClock},
};
use tokio::time::Instant;

use crate::support::{PATIENCE, redis_server::RedisServer};

/// A guard whose time is Tokio's.
fn guard() -> RateGuard {
    RateGuard::builder().store(MemoryStore::new().clock(TokioClock::new())).build().unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn it_waits_for_as_long_as_it_has_to_and_no_longer() {
    let (guard, policy) = (guard(), Policy::new("jobs", "2/10s").unwrap());
    let start = Instant::now();
    for expected in [0, 0, 10, 10, 20] {
        let decision = guard.check_or_wait(&policy, &Key::global(), 60 * SECOND).await.unwrap();
        assert!(decision.is_allowed());
        let waited = start.elapsed();
        // Tokio's timer counts milliseconds.
        assert!(
            waited >= expected * SECOND && waited < expected * SECOND + SECOND / 10,
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_be_too_long_is_a_denial_at_once() {
    let (guard, policy) = (guard(), Policy::new("jobs", "1/10s").unwrap());
    let start = Instant::now();
    assert!(
        guard.check_or_wait(&policy, &Key::global(), Duration::ZERO).await.unwrap().is_allowed()
    );
    let denied = guard.check_or_wait(&policy, &Key::global(), 9 * SECOND).await.unwrap();
    assert_eq!(denied.retry_after(), Some(10 * SECOND));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_came_first_is_served_first_whatever_it_costs() {
    let (guard, policy) = (guard(), Policy::new("jobs", "4/10s").unwrap());
    let served = Arc::new(Mutex::new(Vec::new()));
    let waiting = [4, 1, 4, 1, 2, 3].into_iter().enumerate().map(|(number, cost)| {
        let (guard, policy, served) = (guard.clone(), policy.clone(), Arc::clone(&served));
        async move {
            let key = Key::global();
            let request = guard.request(&policy, &key).cost(cost);
            assert!(request.check_or_wait(1_000 * SECOND).await.unwrap().is_allowed());
            served.lock().unwrap().push(number);
        }
    });
    join_all(waiting).await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_takes_nothing_and_holds_nobody_up() {
    let (guard, policy) = (guard(), Policy::new("jobs", "1/10s").unwrap());
    assert!(guard.allows(&policy, &Key::global()).await);
    let key = Key::global();
    let waiting = || guard.check_or_wait(&policy, &key, 1_000 * SECOND);
    for _ in 0..5 {
        assert!(tokio::time::timeout(SECOND, waiting()).await.is_err());
    }
    let start = Instant::now();
    assert!(waiting().await.unwrap().is_allowed());
    assert!(start.elapsed() <= 6 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_is_impatient_does_not_overtake() {
    let (guard, policy) = (guard(), Policy::new("jobs", "4/10s").unwrap());
    let key = Key::global();
    let much = guard.request(&policy, &key).cost(4);
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    let start = Instant::now();
    // They come after it, again and again, and would find room for the one that they ask for.
    let impatient = async {
        for _ in 0..50 {
            tokio::time::sleep(SECOND / 10).await;
            let decision = guard.check_or_wait(&policy, &key, SECOND).await.unwrap();
            assert!(!decision.is_allowed());
            if start.elapsed() > 8 * SECOND {
                break;
            }
        }
    };
    let (patient, ()) =
        futures_util::future::join(much.check_or_wait(60 * SECOND), impatient).await;
    assert!(patient.unwrap().is_allowed());
    assert!(start.elapsed() < 11 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn several_keys_are_waited_for_together_and_no_two_wait_for_each_other() {
    let guard = guard();
    let [one, other] = ["one", "other"].map(|name| Policy::new(name, "1/10s").unwrap());
    let key = Key::global();
    let (forth, back) =
        (guard.request(&one, &key).and(&other, &key), guard.request(&other, &key).and(&one, &key));
    let waits = (0..6).map(|number| {
        let request = if number % 2 == 0 { &forth } else { &back };
        request.check_or_wait(1_000 * SECOND)
    });
    let start = Instant::now();
    assert!(join_all(waits).await.into_iter().all(|decision| decision.unwrap().is_allowed()));
    assert!(start.elapsed() < 51 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test]
async fn waiting_guards_on_one_redis_take_what_there_is_and_no_more() {
    let server = RedisServer::start();
    let policy = Policy::new("jobs", "5/500ms").unwrap();
    let guards = [server.guard("wait"), server.guard("wait")];
    let start = std::time::Instant::now();
    let key = Key::global();
    let waits = (0..20).map(|number| guards[number % 2].check_or_wait(&policy, &key, PATIENCE));
    let decisions = join_all(waits).await;
    assert!(decisions.into_iter().all(|decision| decision.unwrap().is_allowed()));
    // Twenty in windows of five.
    assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_check_that_is_given_up_on_its_way_is_given_back() {
    let server = RedisServer::start();
    let guard = server.guard("given-up");
    let (policy, key) = (Policy::new("jobs", "1000/day").unwrap(), Key::global());
    guard.check(&policy, &key).await.unwrap();
    let mut expected = 999;
    for round in 0..100_u64 {
        let waiting = guard.check_or_wait(&policy, &key, SECOND);
        // Given up at different moments of its way to Redis and back.
        let patience = Duration::from_micros(round * 12);
        if tokio::time::timeout(patience, waiting).await.is_ok() {
            expected -= 1;
        }
    }
    // Those that were answered in time have taken their unit; of the others nothing stays, once all are given back.
    let start = std::time::Instant::now();
    while guard.peek(&policy, &key).await.unwrap().remaining() != expected {
        assert!(start.elapsed() < PATIENCE, "{expected} should remain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_key_without_room_holds_up_nobody_of_another() {
    let guard = guard();
    let (all, per_user) =
        (Policy::new("all", "1000/second").unwrap(), Policy::new("user", "1/hour").unwrap());
    let (everybody, ann, bob) = (Key::global(), Key::from("ann"), Key::from("bob"));
    assert!(guard.allows(&per_user, &ann).await);
    let start = Instant::now();
    let of_ann = guard.request(&all, &everybody).and(&per_user, &ann);
    let of_bob = guard.request(&all, &everybody).and(&per_user, &bob);
    let bob = async {
        tokio::time::sleep(SECOND).await;
        assert!(of_bob.check_or_wait(1_800 * SECOND).await.unwrap().is_allowed());
        start.elapsed()
    };
    let (ann, bob) = futures_util::future::join(of_ann.check_or_wait(7_200 * SECOND), bob).await;
    assert!(ann.unwrap().is_allowed());
    assert!(bob < 2 * SECOND, "{bob:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_known_at_once_is_said_at_once_also_behind_others() {
    let (guard, policy) = (guard(), Policy::new("jobs", "1/hour").unwrap());
    let key = Key::global();
    assert!(guard.allows(&policy, &key).await);
    let first = guard.check_or_wait(&policy, &key, 7_200 * SECOND);
    let others = async {
        tokio::time::sleep(SECOND).await;
        let start = Instant::now();
        let too_late = guard.check_or_wait(&policy, &key, 600 * SECOND).await.unwrap();
        assert!(!too_late.is_allowed() && too_late.retry_after() > Some(3_000 * SECOND));
        let request = guard.request(&policy, &key).cost(2);
        let too_costly = request.check_or_wait(600 * SECOND).await.unwrap();
        assert!(too_costly.is_too_costly());
        let request = guard.request(&policy, &key).cost(0);
        assert!(request.check_or_wait(600 * SECOND).await.unwrap().is_allowed());
        assert_eq!(start.elapsed(), Duration::ZERO);
    };
    let (first, ()) = futures_util::future::join(first, others).await;
    assert!(first.unwrap().is_allowed());
}

#[tokio::test(start_paused = true)]
async fn a_key_of_which_nothing_is_asked_is_not_waited_for() {
    let guard = guard();
    let (rare, other) =
        (Policy::new("rare", "1/hour").unwrap(), Policy::new("other", "100/s").unwrap());
    let key = Key::global();
    assert!(guard.allows(&rare, &key).await);
    let asks = async {
        tokio::time::sleep(SECOND).await;
        let request = guard.request(&rare, &key).cost(0).and(&other, &key);
        let start = Instant::now();
        assert!(request.check_or_wait(600 * SECOND).await.unwrap().is_allowed());
        start.elapsed()
    };
    let waits = guard.check_or_wait(&rare, &key, 7_200 * SECOND);
    let (_, waited) = futures_util::future::join(waits, asks).await;
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_key_again_holds_up_nobody_of_another() {
    let guard = guard();
    let (a, b) = (Policy::new("a", "1/hour").unwrap(), Policy::new("b", "1/15s").unwrap());
    let key = Key::global();
    assert!(guard.allows(&a, &key).await && guard.allows(&b, &key).await);
    let both = guard.request(&a, &key).and(&b, &key);
    let others = async {
        // In the moment in which a has room, b has none, and then a has none again.
        tokio::time::sleep(3_599 * SECOND).await;
        assert!(guard.allows(&b, &key).await);
        tokio::time::sleep(2 * SECOND).await;
        assert!(guard.allows(&a, &key).await);
        tokio::time::sleep(20 * SECOND).await;
        let start = Instant::now();
        assert!(guard.check_or_wait(&b, &key, 600 * SECOND).await.unwrap().is_allowed());
        start.elapsed()
    };
    let (both, waited) =
        futures_util::future::join(both.check_or_wait(20_000 * SECOND), others).await;
    assert!(both.unwrap().is_allowed());
    assert!(waited < 16 * SECOND, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_behind_others_is_counted_as_well() {
    let store = FaultyStore::new(MemoryStore::new().clock(TokioClock::new()));
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
    assert!(guard.allows(&policy, &key).await);
    let behind = async {
        tokio::time::sleep(SECOND).await;
        store.fail(StoreError::Unreachable);
        for _ in 0..5 {
            assert!(guard.check_or_wait(&policy, &key, SECOND).await.is_err());
        }
        assert_eq!(guard.failures().open, 5);
        store.work();
    };
    let waits = guard.check_or_wait(&policy, &key, 7_200 * SECOND);
    assert!(futures_util::future::join(waits, behind).await.0.unwrap().is_allowed());
}

/// A store whose answers never come to be.
struct Panics;

impl Store for Panics {
    fn apply<'a>(&'a self, _: Operation, _: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(async { panic!("the store's own mistake") }))
    }
}

#[tokio::test]
#[should_panic(expected = "the store's own mistake")]
async fn a_store_that_panics_panics_here() {
    let guard = RateGuard::builder().store(Panics).build().unwrap();
    let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
    let waiting = guard.check_or_wait(&policy, &key, SECOND);
    let _ = tokio::time::timeout(PATIENCE, waiting).await.expect("no wait for ever");
}
