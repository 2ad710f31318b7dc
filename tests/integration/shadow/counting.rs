//! Tests that a candidate (new quotas that a policy tests in shadow mode) counts the same operations as the enforced
//! quotas.

use actix_rateguard::{Key, Policy, RateGuard};

use super::{report, search};
use crate::support::{TEST_TIMEOUT, eventually, redis_server::RedisServer};

/// Returns the remaining units of the candidate's quota.
async fn remaining(guard: &RateGuard, policy: &Policy, key: &Key) -> u32 {
    let enforced = policy.clone().rollout(100).unwrap();
    guard.peek(&enforced, key).await.unwrap().remaining()
}

/// Waits until the candidate has this many units left. The test must wait because a check does not wait until the
/// candidate has counted it.
macro_rules! wait_for_remaining {
    ($guard:expr, $policy:expr, $key:expr, $expected:expr) => {
        let mut attempts = 0;
        while remaining($guard, $policy, $key).await != $expected {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            attempts += 1;
            let found = remaining($guard, $policy, $key).await;
            assert!(attempts < 2_000, "expected {}, found {found}", $expected);
        }
    };
}

async fn test_counts(guard: &RateGuard) {
    let policy = search().candidate("8/365d").unwrap();
    let key = Key::from("user");
    let request = || guard.request(&policy, &key);

    let reservation = request().cost(5).reserve().await.unwrap();
    wait_for_remaining!(guard, &policy, &key, 3);
    assert_eq!(reservation.refund().await.unwrap().remaining(), 10);
    wait_for_remaining!(guard, &policy, &key, 8);

    let reservation = request().cost(5).reserve().await.unwrap();
    assert_eq!(reservation.settle(2).await.unwrap().remaining(), 8);
    wait_for_remaining!(guard, &policy, &key, 6);
    let reservation = request().cost(1).reserve().await.unwrap();
    assert_eq!(reservation.settle(3).await.unwrap().remaining(), 5);
    wait_for_remaining!(guard, &policy, &key, 3);

    assert_eq!(request().cost(4).debit().await.unwrap().remaining(), 1);
    wait_for_remaining!(guard, &policy, &key, 0);
    guard.reset(&policy, &key).await.unwrap();
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 10);
    assert_eq!(remaining(guard, &policy, &key).await, 8);

    // While a check waits for room, it may call the store several times. The candidate must count it only once.
    let second = std::time::Duration::from_secs(1);
    assert!(guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
    wait_for_remaining!(guard, &policy, &key, 7);
    // The shadow report must not count debits and refunds.
    assert_eq!(report(guard, "search", 4).await, [4, 0, 0]);
}

#[tokio::test]
async fn memory_candidate_follows_refund_settle_debit_and_reset() {
    test_counts(&RateGuard::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_candidate_follows_refund_settle_debit_and_reset() {
    let server = RedisServer::start();
    test_counts(&server.settings("counting").deadline(TEST_TIMEOUT).build().unwrap()).await;
}

/// Tests a refund while the candidate's check is still in flight. The refund must wait for this check.
#[tokio::test(flavor = "multi_thread")]
async fn late_candidate_check_is_refunded() {
    let server = RedisServer::start();
    let guard = server.settings("late").deadline(TEST_TIMEOUT).build().unwrap();
    let policy = search().candidate("8/365d").unwrap();
    for key in 0..200_u32 {
        let key = Key::from(key);
        guard.request(&policy, &key).cost(5).reserve().await.unwrap().refund().await.unwrap();
    }
    eventually("all checks are in the report", || {
        (guard.shadow_report()[0].allowed == 200).then_some(())
    });
    for key in 0..200_u32 {
        wait_for_remaining!(&guard, &policy, &Key::from(key), 8);
    }
}
