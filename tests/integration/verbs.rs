//! What there is to do with a request than to check it: peek, reset, refund, settle, charge; on every store.

use std::time::Duration;

use rateguard::{
    Algorithm, Key, MemoryStore, OnError, Policy, Quota, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store, Verdict},
    test_util::{self, FaultyStore},
};

use crate::support::redis_server::{RedisServer, logged};

/// A policy of this algorithm.
fn policy(name: &str, rate: &str, algorithm: Algorithm) -> Policy {
    let quota: Quota = rate.parse().unwrap();
    Policy::new(format!("{name}-{algorithm}"), quota.with_algorithm(algorithm).unwrap()).unwrap()
}

/// A guard on each store, and each algorithm.
async fn on_each(test: impl AsyncFn(&RateGuard, Algorithm)) {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("verbs")] {
        for (algorithm, _) in Algorithm::NAMES {
            test(&guard, algorithm).await;
        }
    }
}

#[tokio::test]
async fn a_peek_decides_and_takes_nothing() {
    on_each(async |guard, algorithm| {
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
async fn a_reset_forgets_one_key_under_one_policy() {
    on_each(async |guard, algorithm| {
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
async fn a_refund_gives_back_what_its_check_took() {
    on_each(async |guard, algorithm| {
        let (policy, key) = (policy("refund", "5/day", algorithm), Key::global());
        let first = guard.request(&policy, &key).cost(2).reserve().await.unwrap();
        let second = guard.request(&policy, &key).cost(3).reserve().await.unwrap();
        let denied = guard.request(&policy, &key).cost(1).reserve().await.unwrap();
        assert!(!denied.decision().is_allowed());
        // A denial took nothing and gives nothing back.
        assert_eq!(denied.refund().await.unwrap().remaining(), 0);
        // A bucket's tokens come back by themselves, too, if slowly.
        let left = first.refund().await.unwrap().remaining();
        assert!(left == 2 || left == 1 && algorithm == Algorithm::TokenBucket, "{left}");
        let left = second.refund().await.unwrap().remaining();
        assert!(left == 5 || left == 4 && algorithm == Algorithm::TokenBucket, "{left}");
    })
    .await;
}

#[tokio::test]
async fn a_cost_that_is_known_afterwards_is_settled() {
    on_each(async |guard, algorithm| {
        let (policy, key) = (policy("settle", "100/day", algorithm), Key::global());
        let remaining = async || guard.peek(&policy, &key).await.unwrap().remaining();
        for (reserved, used, left) in [(50, 10, 90), (10, 10, 80), (10, 70, 10), (10, 0, 10)] {
            let reservation = guard.request(&policy, &key).cost(reserved).reserve().await.unwrap();
            let decision = reservation.settle(used).await.unwrap();
            assert!(decision.is_allowed());
            // Of a bucket, at most one token that comes back by itself is not whole yet.
            let slack = u32::from(algorithm == Algorithm::TokenBucket) * 3;
            assert!(decision.remaining().abs_diff(left) <= slack, "{algorithm} {decision:?}");
            assert!(remaining().await.abs_diff(left) <= slack, "{algorithm}");
        }
        // More was used than there is: it has been used.
        let reservation = guard.request(&policy, &key).cost(5).reserve().await.unwrap();
        let decision = reservation.settle(500).await.unwrap();
        assert_eq!((decision.is_allowed(), decision.remaining()), (true, 0));
        assert!(!guard.allows(&policy, &key).await);
    })
    .await;
}

#[tokio::test]
async fn a_charge_asks_for_no_room() {
    on_each(async |guard, algorithm| {
        let (policy, key) = (policy("charge", "5/day", algorithm), Key::global());
        let charged = guard.request(&policy, &key).cost(7).charge().await.unwrap();
        assert_eq!((charged.is_allowed(), charged.remaining()), (true, 0));
        let denied = guard.check(&policy, &key).await.unwrap();
        assert!(!denied.is_allowed());
        assert!(denied.retry_after().unwrap() <= Duration::from_secs(2 * 86_400));
    })
    .await;
}

#[tokio::test]
async fn only_the_key_that_was_named_last_is_settled() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("last")] {
        let requests = Policy::new("requests", "5/day").unwrap();
        let tokens = Policy::new("tokens", "10000/day; 20000/365d").unwrap();
        let key = Key::global();
        let request = guard.request(&requests, &key).and(&tokens, &key).cost(4_000);
        for (used, left) in [(1_234, [4, 8_766, 18_766]), (5_000, [3, 3_766, 13_766])] {
            let decision = request.reserve().await.unwrap().settle(used).await.unwrap();
            let remaining: Vec<_> = decision.standings().iter().map(|it| it.remaining()).collect();
            assert_eq!(remaining, left);
            assert!(decision.is_allowed() && !decision.is_too_costly());
        }
    }
}

#[tokio::test]
async fn a_key_that_was_named_twice_is_settled_where_it_was_named_last() {
    let guard = RateGuard::in_memory();
    let [a, b] = ["a", "b"].map(|name| Policy::new(name, "100/day").unwrap());
    let key = Key::global();
    let request = guard.request(&a, &key).and(&b, &key).cost(20).and(&a, &key).cost(30);
    request.reserve().await.unwrap().settle(10).await.unwrap();
    assert_eq!(guard.peek(&a, &key).await.unwrap().remaining(), 89);
    assert_eq!(guard.peek(&b, &key).await.unwrap().remaining(), 80);
}

#[tokio::test]
async fn a_log_takes_ten_thousand_at_once_at_the_most() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("log")] {
        let (log, key) = (Policy::new("log", "30000/day").unwrap(), Key::global());
        let denied = guard.request(&log, &key).cost(10_001).check().await.unwrap();
        assert!(denied.is_too_costly() && denied.remaining() == 30_000);
        assert!(guard.request(&log, &key).cost(10_000).check().await.unwrap().is_allowed());
        // What has been used is charged nevertheless, in several steps.
        let charged = guard.request(&log, &key).cost(15_000).charge().await.unwrap();
        assert_eq!(charged.remaining(), 5_000);
        // The numbers are for as much once more.
        assert_eq!(charged.standings()[0].retry_after(), None);
        let both = Policy::new("both", "100000/hour; 20000/hour token_bucket").unwrap();
        let charged = guard.request(&both, &key).cost(15_000).charge().await.unwrap();
        let remaining: Vec<_> = charged.standings().iter().map(|it| it.remaining()).collect();
        assert!(remaining[0] == 85_000 && (5_000..5_100).contains(&remaining[1]), "{remaining:?}");
        let wait = charged.standings()[1].retry_after().unwrap();
        assert!(wait.as_secs().abs_diff(1_800) < 60, "{wait:?}");
        let bucket = Policy::new("bucket", "30000/day token_bucket").unwrap();
        assert!(guard.request(&bucket, &key).cost(30_000).check().await.unwrap().is_allowed());
    }
}

#[tokio::test]
async fn a_token_bucket_owes_no_more_than_can_be_counted() {
    let server = RedisServer::start();
    for guard in [RateGuard::in_memory(), server.guard("debt")] {
        let (policy, key) = (Policy::new("debt", "1/365d token_bucket").unwrap(), Key::global());
        let owes = async |tokens: u32| {
            let charged = guard.request(&policy, &key).cost(tokens).charge().await.unwrap();
            assert_eq!((charged.is_allowed(), charged.remaining()), (true, 0));
            charged.reset_after()
        };
        // A token is a year. A little of it may have come back.
        let (year, minute) = (Quota::MAX_WINDOW, Duration::from_secs(60));
        assert!((140 * year - minute..=140 * year).contains(&owes(140).await));
        // Of one that comes back in a year, 2^52 units are 142.8, and a microsecond brings one of them.
        let most = Duration::from_micros(Quota::MAX_DEBT);
        assert!(most < 143 * year);
        for tokens in [3, 1_000, u32::MAX] {
            let owed = owes(tokens).await;
            assert!((most - minute..=most).contains(&owed), "{owed:?}");
        }
    }
}

/// A store that answers with nothing.
struct Empty;

impl Store for Empty {
    fn apply<'a>(&'a self, _: Operation, _: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Now(Ok(Verdict::new(true, [])))
    }
}

#[tokio::test]
async fn an_answer_without_levels_is_none() {
    let guard = RateGuard::builder().store(Empty).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/day").unwrap(), Key::global());
    assert_eq!(guard.check(&policy, &key).await.unwrap_err().cause(), StoreError::Unintelligible);
    let waiting = guard.check_or_wait(&policy, &key, Duration::ZERO);
    assert_eq!(waiting.await.unwrap_err().cause(), StoreError::Unintelligible);
}

#[tokio::test]
async fn what_fails_for_one_of_several_keys_is_done_to_none() {
    let server = RedisServer::start();
    let guard = server.guard("none");
    let policy = Policy::new("p", "5/day fixed_window").unwrap();
    let (good, bad) = (Key::from("good"), Key::from("bad"));
    let both = guard.request(&policy, &good).and(&policy, &bad);
    let reservation = both.reserve().await.unwrap();
    let name = rateguard::store::Bucket::new("p", 0, &bad).storage_key("none");
    let _: () = redis::cmd("SET").arg(&name).arg("not ours").query(&mut server.client()).unwrap();
    assert_eq!(both.reset().await.unwrap_err().cause(), StoreError::Unintelligible);
    assert_eq!(reservation.refund().await.unwrap_err().cause(), StoreError::Unintelligible);
    assert_eq!(guard.peek(&policy, &good).await.unwrap().remaining(), 4);
}

#[tokio::test]
async fn a_huge_cost_on_redis_is_taken_and_given_back_whole() {
    let server = RedisServer::start();
    let guard = server.guard("huge");
    let (policy, key) = (Policy::new("p", "10000/day").unwrap(), Key::global());
    let reservation = guard.request(&policy, &key).cost(9_999).reserve().await.unwrap();
    assert_eq!(reservation.decision().remaining(), 1);
    assert_eq!(reservation.refund().await.unwrap().remaining(), 10_000);
    // More than there is room for makes no more of it.
    guard.request(&policy, &key).cost(u32::MAX).charge().await.unwrap();
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut server.client()).unwrap();
    assert_eq!(logged(&mut server.client(), &names[0]), 10_000);
}

#[tokio::test]
async fn reservations_of_many_at_once_are_given_back_exactly() {
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
                // Every other one is given back.
                if task % 2 == 0 {
                    reservation.refund().await.unwrap();
                    return 0;
                }
                1
            }
        });
        let kept: u32 = futures_util::future::join_all(tasks).await.into_iter().sum();
        assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 20 - kept);
    }
}

#[tokio::test]
async fn when_the_store_fails_the_strictest_policy_decides() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let open = Policy::new("open", "1/day").unwrap();
    let closed = Policy::new("closed", "1/day").unwrap().on_error(OnError::Closed);
    let key = Key::global();
    for is_hanging in [false, true] {
        if is_hanging {
            store.hang();
        } else {
            store.fail(StoreError::Unreachable);
        }
        assert!(guard.request(&open, &key).check().await.unwrap_err().lets_pass());
        let both = guard.request(&open, &key).and(&closed, &key);
        assert!(!both.check().await.unwrap_err().lets_pass());
        assert!(!both.allows().await);
    }
    // What was no check has let nothing pass and refused nothing.
    assert!(guard.peek(&open, &key).await.is_err() && guard.reset(&closed, &key).await.is_err());
    assert_eq!((guard.failures().open, guard.failures().closed), (2, 4));
    store.work();
    assert!(guard.allows(&closed, &key).await);
}

#[test]
fn nothing_of_a_key_is_in_a_debug_text() {
    use futures_util::FutureExt;
    let (guard, _) = test_util::guard();
    let (policy, key) = (Policy::new("p", "1/day").unwrap(), Key::from("sentinel"));
    let request = guard.request(&policy, &key);
    let reservation = request.reserve().now_or_never().unwrap().unwrap();
    let shown = format!("{request:?} {reservation:?}");
    let digest = rateguard::store::Bucket::new("p", 0, &key).storage_key("x");
    let digest = &digest[3..35];
    assert!(!shown.contains("sentinel") && !shown.contains(digest), "{shown}");
}
