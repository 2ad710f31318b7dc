//! Tests checks that wait for free capacity instead of being denied immediately.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_rateguard::{
    Algorithm, Key, MemoryStore, Policy, Quota, RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::{FaultyStore, TokioClock},
};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::support::{TEST_TIMEOUT, redis_server::RedisServer};

/// Returns a guard with a memory store that uses the clock of Tokio.
fn guard() -> RateGuard {
    RateGuard::builder().store(MemoryStore::new().clock(TokioClock::new())).build().unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn check_waits_exactly_until_capacity_is_free() {
    let (guard, policy) = (guard(), Policy::new("jobs", "2/10s").unwrap());
    let start = Instant::now();
    for expected in [0, 0, 10, 10, 20] {
        let decision = guard.check_or_wait(&policy, &Key::global(), 60 * SECOND).await.unwrap();
        assert!(decision.is_allowed());
        let waited = start.elapsed();
        // The timers of Tokio round up to whole milliseconds, so the actual wait may be a little longer.
        assert!(
            waited >= expected * SECOND && waited < expected * SECOND + SECOND / 10,
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn wait_beyond_the_max_is_denied_immediately() {
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
async fn waiters_are_served_in_arrival_order() {
    let (guard, policy) = (guard(), Policy::new("jobs", "4/10s").unwrap());
    let served = Arc::new(Mutex::new(Vec::new()));
    let waiters = [4, 1, 4, 1, 2, 3].into_iter().enumerate().map(|(number, cost)| {
        let (guard, policy, served) = (guard.clone(), policy.clone(), Arc::clone(&served));
        async move {
            let key = Key::global();
            let request = guard.request(&policy, &key).cost(cost);
            assert!(request.check_or_wait(1_000 * SECOND).await.unwrap().is_allowed());
            served.lock().unwrap().push(number);
        }
    });
    join_all(waiters).await;
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn cancelled_waiter_counts_nothing_and_blocks_no_other() {
    let (guard, policy) = (guard(), Policy::new("jobs", "1/10s").unwrap());
    assert!(guard.allows(&policy, &Key::global()).await);
    let key = Key::global();
    let check = || guard.check_or_wait(&policy, &key, 1_000 * SECOND);
    for _ in 0..5 {
        assert!(tokio::time::timeout(SECOND, check()).await.is_err());
    }
    let start = Instant::now();
    assert!(check().await.unwrap().is_allowed());
    assert!(start.elapsed() <= 6 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn short_waits_do_not_overtake_a_long_wait() {
    let (guard, policy) = (guard(), Policy::new("jobs", "4/10s").unwrap());
    let key = Key::global();
    let costly = guard.request(&policy, &key).cost(4);
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    let start = Instant::now();
    // These checks arrive after the costly check. The bucket has room for each of them, but they must not overtake
    // the costly check.
    let short_waits = async {
        for _ in 0..50 {
            tokio::time::sleep(SECOND / 10).await;
            let decision = guard.check_or_wait(&policy, &key, SECOND).await.unwrap();
            assert!(!decision.is_allowed());
            if start.elapsed() > 8 * SECOND {
                break;
            }
        }
    };
    let (long_wait, ()) =
        futures_util::future::join(costly.check_or_wait(60 * SECOND), short_waits).await;
    assert!(long_wait.unwrap().is_allowed());
    assert!(start.elapsed() < 11 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn multi_key_waits_do_not_deadlock() {
    let guard = guard();
    let [one, other] = ["one", "other"].map(|name| Policy::new(name, "1/10s").unwrap());
    let key = Key::global();
    let (forward, reverse) =
        (guard.request(&one, &key).and(&other, &key), guard.request(&other, &key).and(&one, &key));
    let waits = (0..6).map(|number| {
        let request = if number % 2 == 0 { &forward } else { &reverse };
        request.check_or_wait(1_000 * SECOND)
    });
    let start = Instant::now();
    assert!(join_all(waits).await.into_iter().all(|decision| decision.unwrap().is_allowed()));
    assert!(start.elapsed() < 51 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test]
async fn waiting_guards_on_one_redis_share_the_limit() {
    let server = RedisServer::start();
    let policy = Policy::new("jobs", "5/500ms").unwrap();
    let guards = [server.guard("wait"), server.guard("wait")];
    let start = std::time::Instant::now();
    let key = Key::global();
    let waits = (0..20).map(|number| guards[number % 2].check_or_wait(&policy, &key, TEST_TIMEOUT));
    let decisions = join_all(waits).await;
    assert!(decisions.into_iter().all(|decision| decision.unwrap().is_allowed()));
    // The limit admits 5 checks in each window of 500 ms. Therefore 20 checks need four windows.
    assert!(start.elapsed() >= Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn cancelled_check_is_refunded() {
    let server = RedisServer::start();
    let guard = server.guard("cancelled");
    let (policy, key) = (Policy::new("jobs", "1000/day").unwrap(), Key::global());
    guard.check(&policy, &key).await.unwrap();
    let mut expected = 999;
    for round in 0..100_u64 {
        let check = guard.check_or_wait(&policy, &key, SECOND);
        // Each round cancels the check at a different time between the call of the store and its reply.
        let timeout = Duration::from_micros(round * 12);
        if tokio::time::timeout(timeout, check).await.is_ok() {
            expected -= 1;
        }
    }
    // Redis counts each completed check. The guard refunds each cancelled check, but this may take some time.
    let start = std::time::Instant::now();
    while guard.peek(&policy, &key).await.unwrap().remaining() != expected {
        assert!(start.elapsed() < TEST_TIMEOUT, "{expected} should remain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn exhausted_key_does_not_block_other_keys() {
    let guard = guard();
    let (all, per_user) =
        (Policy::new("all", "1000/second").unwrap(), Policy::new("user", "1/hour").unwrap());
    let (global, ann, bob) = (Key::global(), Key::from("ann"), Key::from("bob"));
    assert!(guard.allows(&per_user, &ann).await);
    let start = Instant::now();
    let ann_request = guard.request(&all, &global).and(&per_user, &ann);
    let bob_request = guard.request(&all, &global).and(&per_user, &bob);
    let bob = async {
        tokio::time::sleep(SECOND).await;
        assert!(bob_request.check_or_wait(1_800 * SECOND).await.unwrap().is_allowed());
        start.elapsed()
    };
    let (ann, bob) =
        futures_util::future::join(ann_request.check_or_wait(7_200 * SECOND), bob).await;
    assert!(ann.unwrap().is_allowed());
    assert!(bob < 2 * SECOND, "{bob:?}");
}

#[tokio::test(start_paused = true)]
async fn immediate_decisions_skip_the_queue() {
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
async fn key_with_zero_cost_is_not_waited_for() {
    let guard = guard();
    let (rare, other) =
        (Policy::new("rare", "1/hour").unwrap(), Policy::new("other", "100/s").unwrap());
    let key = Key::global();
    assert!(guard.allows(&rare, &key).await);
    let zero_cost = async {
        tokio::time::sleep(SECOND).await;
        let request = guard.request(&rare, &key).cost(0).and(&other, &key);
        let start = Instant::now();
        assert!(request.check_or_wait(600 * SECOND).await.unwrap().is_allowed());
        start.elapsed()
    };
    let waiter = guard.check_or_wait(&rare, &key, 7_200 * SECOND);
    let (_, waited) = futures_util::future::join(waiter, zero_cost).await;
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn requeued_waiter_does_not_block_other_keys() {
    let guard = guard();
    let (a, b) = (Policy::new("a", "1/hour").unwrap(), Policy::new("b", "1/15s").unwrap());
    let key = Key::global();
    assert!(guard.allows(&a, &key).await && guard.allows(&b, &key).await);
    let both = guard.request(&a, &key).and(&b, &key);
    let others = async {
        // The waiting check needs capacity of `a` and `b` at the same time. When `a` first gets free capacity, `b` has
        // none. When `b` gets free capacity, `a` has none.
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
async fn queued_store_failures_are_counted() {
    let store = FaultyStore::new(MemoryStore::new().clock(TokioClock::new()));
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
    assert!(guard.allows(&policy, &key).await);
    let queued = async {
        tokio::time::sleep(SECOND).await;
        store.fail(StoreError::Unreachable(None));
        for _ in 0..5 {
            assert!(guard.check_or_wait(&policy, &key, SECOND).await.is_err());
        }
        assert_eq!(guard.failures().open, 5);
        store.work();
    };
    let waiter = guard.check_or_wait(&policy, &key, 7_200 * SECOND);
    assert!(futures_util::future::join(waiter, queued).await.0.unwrap().is_allowed());
}

/// A store that panics when it is called.
struct PanickingStore;

impl Store for PanickingStore {
    fn apply<'a>(&'a self, _: Operation, _: &'a [BucketRequest<'a>]) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async { panic!("a bug in the store") }))
    }
}

#[tokio::test]
#[should_panic(expected = "a bug in the store")]
async fn store_panic_propagates_to_the_caller() {
    let guard = RateGuard::builder().store(PanickingStore).build().unwrap();
    let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
    let check = guard.check_or_wait(&policy, &key, SECOND);
    let _ = tokio::time::timeout(TEST_TIMEOUT, check).await.expect("the check waits forever");
}

#[tokio::test(start_paused = true)]
async fn request_whose_turn_is_too_late_is_denied_immediately() {
    let (guard, policy) = (guard(), Policy::new("jobs", "5/second").unwrap());
    let start = Instant::now();
    let order = Mutex::new(Vec::new());
    let checks = (0..30).map(|number| {
        let (guard, policy, order) = (&guard, &policy, &order);
        async move {
            let decision =
                guard.check_or_wait(policy, &Key::global(), SECOND * 5 / 2).await.unwrap();
            let at = start.elapsed().as_secs();
            order.lock().unwrap().push((number, at, decision.retry_after()));
        }
    });
    join_all(checks).await;
    let mut order = order.into_inner().unwrap();
    let admitted = order.split_off(20);
    // The denied checks end together with the first five admissions.
    let (first, denied): (Vec<_>, Vec<_>) = order.into_iter().partition(|it| it.2.is_none());
    assert!(denied.iter().all(|it| it.0 >= 15 && it.1 == 0 && it.2 == Some(3 * SECOND)));
    let admitted: Vec<_> = first.into_iter().chain(admitted).collect();
    let expected: Vec<_> = (0..15).map(|number| (number, number / 5, None)).collect();
    assert_eq!(admitted, expected);
}

#[tokio::test(start_paused = true)]
async fn predicted_turn_is_never_after_the_admission() {
    for quota in Algorithm::NAMES
        .map(|(algorithm, _)| Quota::new(3, 2 * SECOND).unwrap().with_algorithm(algorithm).unwrap())
    {
        for costs in [[1, 1, 1, 1, 1], [1, 2, 1, 2, 1], [2, 1, 2, 2, 1]] {
            let (guard, policy) = (guard(), Policy::new("jobs", quota).unwrap());
            let key = Key::global();
            // After a part of the window, the bucket still has no room.
            guard.request(&policy, &key).cost(2 * quota.capacity()).debit().await.unwrap();
            tokio::time::sleep(quota.window() / 5).await;
            let year = 365 * 86_400 * SECOND;
            let checks = costs.map(|cost| {
                let request = guard.request(&policy, &key).cost(cost.min(quota.max_cost()));
                async move {
                    let now = Instant::now();
                    let denial = request.check_or_wait(Duration::ZERO).await.unwrap();
                    let turn = denial.retry_after().unwrap();
                    assert!(request.check_or_wait(year).await.unwrap().is_allowed());
                    (turn, now.elapsed())
                }
            });
            for (turn, admitted) in join_all(checks).await {
                assert!(turn <= admitted, "{quota}, {costs:?}: {turn:?} > {admitted:?}");
            }
        }
    }
}
