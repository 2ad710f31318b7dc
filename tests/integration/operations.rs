//! Tests the operations peek, reset, refund, settle and debit on every store.

use std::time::Duration;

use actix_rateguard::{
    Algorithm, Key, MemoryStore, OnError, Policy, Quota, RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture, Verdict},
    test_util::{self, FaultyStore},
};

use rateguard_tests::algorithms::refills_steadily;

use crate::support::redis_server::{RedisServer, packed_log_len};

/// Returns a policy whose quota has this algorithm. The name of the policy ends with the name of the algorithm.
fn policy(name: &str, rate: &str, algorithm: Algorithm) -> Policy {
    let quota: Quota = rate.parse().unwrap();
    Policy::new(format!("{name}-{algorithm}"), quota.with_algorithm(algorithm).unwrap()).unwrap()
}

/// Runs a test for each combination of a store and an algorithm.
async fn for_each_store(test: impl AsyncFn(&RateGuard, Algorithm)) {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("operations")] {
        for (algorithm, _) in Algorithm::NAMES {
            test(&guard, algorithm).await;
        }
    }
}

#[tokio::test]
async fn peek_decides_without_counting() {
    for_each_store(async |guard, algorithm| {
        let (policy, key) = (policy("peek", "2/day", algorithm), Key::global());
        for _ in 0..3 {
            let peek = guard.peek(&policy, &key).await.unwrap();
            assert_eq!((peek.is_allowed(), peek.remaining()), (true, 2));
            assert_eq!(peek.reset_after(), Duration::ZERO);
        }
        guard.request(&policy, &key).cost(2).check().await.unwrap();
        assert!(!guard.peek(&policy, &key).await.unwrap().is_allowed());
        assert!(guard.request(&policy, &key).cost(3).peek().await.unwrap().is_too_costly());
    })
    .await;
}

#[tokio::test]
async fn reset_clears_one_key_of_one_policy() {
    for_each_store(async |guard, algorithm| {
        let [one, other] = ["reset", "other"].map(|name| policy(name, "1/day", algorithm));
        let (ann, bob) = (Key::from("ann"), Key::from("bob"));
        for (policy, key) in [(&one, &ann), (&one, &bob), (&other, &ann)] {
            assert!(guard.allows(policy, key).await);
        }
        guard.reset(&one, &ann).await.unwrap();
        assert!(guard.allows(&one, &ann).await);
        assert!(!guard.allows(&one, &bob).await && !guard.allows(&other, &ann).await);
    })
    .await;
}

#[tokio::test]
async fn refund_returns_the_units_of_its_check() {
    for_each_store(async |guard, algorithm| {
        let (policy, key) = (policy("refund", "5/day", algorithm), Key::global());
        let first = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
        let second = guard.request(&policy, &key).cost(3).reserve().await.unwrap();
        let denied = guard.request(&policy, &key).cost(1).reserve().await.unwrap();
        assert!(!denied.decision().is_allowed());
        // The store took no units for the denied check, so a refund of this check returns no units.
        assert_eq!(denied.refund().await.unwrap().remaining(), 0);
        // A token bucket may already have refilled a part of a token. The remaining count may then be lower by one
        // token.
        let may_be_lower = refills_steadily(algorithm);
        let remaining = first.refund().await.unwrap().remaining();
        assert!(remaining == 2 || remaining == 1 && may_be_lower, "{remaining}");
        let remaining = second.refund().await.unwrap().remaining();
        assert!(remaining == 5 || remaining == 4 && may_be_lower, "{remaining}");
    })
    .await;
}

#[tokio::test]
async fn settle_corrects_the_reserved_cost() {
    for_each_store(async |guard, algorithm| {
        let (policy, key) = (policy("settle", "100/day", algorithm), Key::global());
        let remaining = async || guard.peek(&policy, &key).await.unwrap().remaining();
        for (reserved, used, left) in [(50, 10, 90), (10, 10, 80), (10, 70, 10), (10, 0, 10)] {
            let reservation = guard.request(&policy, &key).cost(reserved).reserve().await.unwrap();
            let decision = reservation.settle(used).await.unwrap();
            assert!(decision.is_allowed());
            // A token bucket refills during the test, so its count may differ by up to 3 tokens.
            let slack = u32::from(refills_steadily(algorithm)) * 3;
            assert!(decision.remaining().abs_diff(left) <= slack, "{algorithm} {decision:?}");
            assert!(remaining().await.abs_diff(left) <= slack, "{algorithm}");
        }
        // The actual cost is higher than the limit, but `settle` must count the whole cost.
        let reservation = guard.request(&policy, &key).cost(5).reserve().await.unwrap();
        let decision = reservation.settle(500).await.unwrap();
        assert_eq!((decision.is_allowed(), decision.remaining()), (true, 0));
        assert!(!guard.allows(&policy, &key).await);
    })
    .await;
}

#[tokio::test]
async fn debit_counts_beyond_the_limit() {
    for_each_store(async |guard, algorithm| {
        let (policy, key) = (policy("debit", "5/day", algorithm), Key::global());
        let debited = guard.request(&policy, &key).cost(7).debit().await.unwrap();
        assert_eq!((debited.is_allowed(), debited.remaining()), (true, 0));
        let denied = guard.check(&policy, &key).await.unwrap();
        assert!(!denied.is_allowed());
        assert!(denied.retry_after().unwrap() <= Duration::from_secs(2 * 86_400));
    })
    .await;
}

#[tokio::test]
async fn settle_corrects_only_the_last_key() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("last")] {
        let requests = Policy::new("requests", "5/day").unwrap();
        let tokens = Policy::new("tokens", "10000/day; 20000/365d").unwrap();
        let key = Key::global();
        let request = guard.request(&requests, &key).and(&tokens, &key).cost(4_000);
        for (used, expected) in [(1_234, [4, 8_766, 18_766]), (5_000, [3, 3_766, 13_766])] {
            let decision = request.reserve().await.unwrap().settle(used).await.unwrap();
            let remaining: Vec<_> = decision.statuses().iter().map(|it| it.remaining()).collect();
            assert_eq!(remaining, expected);
            assert!(decision.is_allowed() && !decision.is_too_costly());
        }
    }
}

#[tokio::test]
async fn settle_corrects_the_last_use_of_a_repeated_key() {
    let guard = RateGuard::in_memory();
    let [a, b] = ["a", "b"].map(|name| Policy::new(name, "100/day").unwrap());
    let key = Key::global();
    let request = guard.request(&a, &key).and(&b, &key).cost(20).and(&a, &key).cost(30);
    request.reserve().await.unwrap().settle(10).await.unwrap();
    assert_eq!(guard.peek(&a, &key).await.unwrap().remaining(), 89);
    assert_eq!(guard.peek(&b, &key).await.unwrap().remaining(), 80);
}

#[tokio::test]
async fn sliding_window_denies_costs_above_ten_thousand() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("log")] {
        let key = Key::global();
        for (_, name) in Algorithm::NAMES.into_iter().filter(|(algorithm, _)| algorithm.is_log()) {
            let log = Policy::new(name, format!("30000/day {name}")).unwrap();
            let denied = guard.request(&log, &key).cost(10_001).check().await.unwrap();
            assert!(denied.is_too_costly() && denied.remaining() == 30_000);
            assert!(guard.request(&log, &key).cost(10_000).check().await.unwrap().is_allowed());
            // A debit may have a higher cost than a check, because the store splits a debit into several parts.
            let debited = guard.request(&log, &key).cost(15_000).debit().await.unwrap();
            assert_eq!(debited.remaining(), 5_000);
            // The retry time in this status is the wait for another request with the same cost. The log never admits
            // such a cost, so there is no retry time.
            assert_eq!(debited.statuses()[0].retry_after(), None);
        }
        let both = Policy::new("both", "100000/hour; 20000/hour token_bucket").unwrap();
        let debited = guard.request(&both, &key).cost(15_000).debit().await.unwrap();
        let remaining: Vec<_> = debited.statuses().iter().map(|it| it.remaining()).collect();
        assert!(remaining[0] == 85_000 && (5_000..5_100).contains(&remaining[1]), "{remaining:?}");
        let wait = debited.statuses()[1].retry_after().unwrap();
        assert!(wait.as_secs().abs_diff(1_800) < 60, "{wait:?}");
        let bucket = Policy::new("bucket", "30000/day token_bucket").unwrap();
        assert!(guard.request(&bucket, &key).cost(30_000).check().await.unwrap().is_allowed());
    }
}

#[tokio::test]
async fn token_bucket_debt_is_capped() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("debt")] {
        let (policy, key) = (Policy::new("debt", "1/365d token_bucket").unwrap(), Key::global());
        let debt_of = async |tokens: u32| {
            let debited = guard.request(&policy, &key).cost(tokens).debit().await.unwrap();
            assert_eq!((debited.is_allowed(), debited.remaining()), (true, 0));
            debited.reset_after()
        };
        // The bucket needs a year to refill one token. The difference of up to one minute is the refill during the
        // test.
        let (year, minute) = (Quota::MAX_WINDOW, Duration::from_secs(60));
        assert!((140 * year - minute..=140 * year).contains(&debt_of(140).await));
        // The debt of a bucket is limited to the tokens that are refilled in 2^52 microseconds, which is 142.8 tokens
        // here.
        let max = Duration::from_micros(Quota::MAX_DEBT);
        assert!(max < 143 * year);
        for tokens in [3, 1_000, u32::MAX] {
            let debt = debt_of(tokens).await;
            assert!((max - minute..=max).contains(&debt), "{debt:?}");
        }
    }
}

/// A store whose replies contain no bucket status.
struct EmptyReplyStore;

impl Store for EmptyReplyStore {
    fn apply<'a>(&'a self, _: Operation, _: &'a [BucketRequest<'a>]) -> StoreFuture<'a> {
        StoreFuture::Ready(Ok(Verdict::new(true, [])))
    }
}

#[tokio::test]
async fn reply_without_bucket_statuses_is_invalid() {
    let guard = RateGuard::builder().store(EmptyReplyStore).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/day").unwrap(), Key::global());
    assert_eq!(guard.check(&policy, &key).await.unwrap_err().cause(), StoreError::InvalidReply);
    let check = guard.check_or_wait(&policy, &key, Duration::ZERO);
    assert_eq!(check.await.unwrap_err().cause(), StoreError::InvalidReply);
}

#[tokio::test]
async fn multi_key_operation_changes_nothing_if_one_key_fails() {
    let server = RedisServer::start();
    let guard = server.guard("none");
    let policy = Policy::new("p", "5/day fixed_window").unwrap();
    let (good, bad) = (Key::from("good"), Key::from("bad"));
    let both = guard.request(&policy, &good).and(&policy, &bad);
    let reservation = both.reserve().await.unwrap();
    let name = actix_rateguard::store::Bucket::new("p", 0, &bad).storage_key("none");
    let _: () = redis::cmd("SET").arg(&name).arg("not ours").query(&mut server.client()).unwrap();
    assert_eq!(both.reset().await.unwrap_err().cause(), StoreError::ForeignValue);
    assert_eq!(reservation.refund().await.unwrap_err().cause(), StoreError::ForeignValue);
    assert_eq!(guard.peek(&policy, &good).await.unwrap().remaining(), 4);
}

#[tokio::test]
async fn redis_refunds_a_huge_cost_completely() {
    let server = RedisServer::start();
    let guard = server.guard("huge");
    let (policy, key) = (Policy::new("p", "10000/day").unwrap(), Key::global());
    let reservation = guard.request(&policy, &key).cost(9_999).reserve().await.unwrap();
    assert_eq!(reservation.decision().remaining(), 1);
    assert_eq!(reservation.refund().await.unwrap().remaining(), 10_000);
    // Although the debit exceeds the limit, the log must not have more entries than the limit.
    guard.request(&policy, &key).cost(u32::MAX).debit().await.unwrap();
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.client()).unwrap();
    assert_eq!(packed_log_len(&mut server.client(), &names[0]), 10_000);
}

#[tokio::test]
async fn concurrent_refunds_restore_exact_counts() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("many")] {
        let (policy, key) = (Policy::new("p", "20/day").unwrap(), Key::global());
        let tasks = (0..50_u32).map(|task| {
            let (guard, policy) = (guard.clone(), policy.clone());
            async move {
                let reservation = guard.request(&policy, &key).reserve().await.unwrap();
                if !reservation.decision().is_allowed() {
                    return 0;
                }
                // Half of the tasks refund their reservations.
                if task % 2 == 0 {
                    reservation.refund().await.unwrap();
                    return 0;
                }
                1
            }
        });
        let counted: u32 = futures_util::future::join_all(tasks).await.into_iter().sum();
        assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 20 - counted);
    }
}

#[tokio::test]
async fn store_failure_applies_the_strictest_failure_mode() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let open = Policy::new("open", "1/day").unwrap();
    let closed = Policy::new("closed", "1/day").unwrap().on_error(OnError::Closed);
    let key = Key::global();
    for is_hanging in [false, true] {
        if is_hanging {
            store.hang();
        } else {
            store.fail(StoreError::Unreachable(None));
        }
        assert!(guard.request(&open, &key).check().await.unwrap_err().lets_pass());
        let both = guard.request(&open, &key).and(&closed, &key);
        assert!(!both.check().await.unwrap_err().lets_pass());
        assert!(!both.allows().await);
    }
    // The guard counts each failed check under its failure mode, open or closed. It does not count failures of peek
    // and reset.
    assert!(guard.peek(&open, &key).await.is_err() && guard.reset(&closed, &key).await.is_err());
    assert_eq!((guard.failures().open, guard.failures().closed), (2, 4));
    store.work();
    assert!(guard.allows(&closed, &key).await);
}

#[test]
fn debug_output_contains_no_key() {
    use futures_util::FutureExt;
    let (guard, _) = test_util::guard();
    let (policy, key) = (Policy::new("p", "1/day").unwrap(), Key::from("sentinel"));
    let request = guard.request(&policy, &key);
    let reservation = request.reserve().now_or_never().unwrap().unwrap();
    let debug = format!("{request:?} {reservation:?}");
    let digest = actix_rateguard::store::Bucket::new("p", 0, &key).storage_key("x");
    let digest = &digest[3..35];
    assert!(!debug.contains("sentinel") && !debug.contains(digest), "{debug}");
}
