//! What a candidate counts: the same as what is enforced does.

use rateguard::{Key, Policy, RateGuard};

use super::{report, search};
use crate::support::{PATIENCE, eventually, redis_server::RedisServer};

/// How many more the candidate would admit.
async fn left(guard: &RateGuard, policy: &Policy, key: &Key) -> u32 {
    let enforced = policy.clone().rollout(100).unwrap();
    guard.peek(&enforced, key).await.unwrap().remaining()
}

/// Until the candidate would admit so many: it is waited for by nobody.
macro_rules! has_left {
    ($guard:expr, $policy:expr, $key:expr, $expected:expr) => {
        let mut tries = 0;
        while left($guard, $policy, $key).await != $expected {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            tries += 1;
            assert!(tries < 2_000, "{} and not {}", left($guard, $policy, $key).await, $expected);
        }
    };
}

async fn counts(guard: &RateGuard) {
    let policy = search().candidate("8/365d").unwrap();
    let key = Key::from("somebody");
    let request = || guard.request(&policy, &key);

    let reservation = request().cost(5).reserve().await.unwrap();
    has_left!(guard, &policy, &key, 3);
    assert_eq!(reservation.refund().await.unwrap().remaining(), 10);
    has_left!(guard, &policy, &key, 8);

    let reservation = request().cost(5).reserve().await.unwrap();
    assert_eq!(reservation.settle(2).await.unwrap().remaining(), 8);
    has_left!(guard, &policy, &key, 6);
    let reservation = request().cost(1).reserve().await.unwrap();
    assert_eq!(reservation.settle(3).await.unwrap().remaining(), 5);
    has_left!(guard, &policy, &key, 3);

    assert_eq!(request().cost(4).charge().await.unwrap().remaining(), 1);
    has_left!(guard, &policy, &key, 0);
    guard.reset(&policy, &key).await.unwrap();
    assert_eq!(guard.peek(&policy, &key).await.unwrap().remaining(), 10);
    assert_eq!(left(guard, &policy, &key).await, 8);

    // Once, though it is asked for more than once.
    let second = std::time::Duration::from_secs(1);
    assert!(guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
    has_left!(guard, &policy, &key, 7);
    // What is charged or given back is no decision.
    assert_eq!(report(guard, "search", 4).await, [4, 0, 0]);
}

#[tokio::test]
async fn in_memory_it_is_given_back_corrected_charged_and_forgotten() {
    counts(&RateGuard::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis_it_is_given_back_corrected_charged_and_forgotten() {
    let server = RedisServer::start();
    counts(&server.settings("counting").deadline(PATIENCE).build().unwrap()).await;
}

/// The answer of a store that nobody waits for any more is known when it comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_still_asked_is_given_back_when_it_is_answered() {
    let server = RedisServer::start();
    let guard = server.settings("late").deadline(PATIENCE).build().unwrap();
    let policy = search().candidate("8/365d").unwrap();
    for key in 0..200_u32 {
        let key = Key::from(key);
        guard.request(&policy, &key).cost(5).reserve().await.unwrap().refund().await.unwrap();
    }
    eventually("all of it is told", || (guard.shadow_report()[0].allowed == 200).then_some(()));
    for key in 0..200_u32 {
        has_left!(&guard, &policy, &Key::from(key), 8);
    }
}
