//! Tests permits while the store does not answer, with each failure mode, and the metrics of permits.

use std::time::Duration;

use actix_rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError, test_util::FaultyStore,
};

use crate::support::{TEST_TIMEOUT, eventually, redis_server::RedisServer};

fn policy(on_error: OnError) -> Policy {
    Policy::new("exports", "4 concurrent lease 1s").unwrap().on_error(on_error)
}

#[tokio::test]
async fn failure_modes_apply_while_redis_is_down() {
    let mut server = RedisServer::start();
    let guard = server.settings("down").replicas(2).build().unwrap();
    server.kill();
    eventually("the guard knows it", || (!guard.health().is_good()).then_some(()));
    for (on_error, passes) in [(OnError::Open, true), (OnError::Closed, false)] {
        let unavailable = guard.acquire(&policy(on_error), &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.lets_pass(), passes);
    }
    // This process may use half of the permits.
    let local = policy(OnError::Local);
    let acquire = async || guard.acquire(&local, &Key::global()).await.unwrap();
    let first = acquire().await.into_permit().unwrap();
    let second = acquire().await.into_permit().unwrap();
    assert!(first.decision().is_local());
    // These permits have no lease.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(first.is_valid() && second.is_valid());
    assert!(acquire().await.decision().is_denied_by_concurrency());
    drop(first);
    let third = acquire().await.into_permit().unwrap();
    third.release().await;
    assert!(acquire().await.is_granted());
}

#[tokio::test]
async fn permits_that_redis_granted_count_locally_until_their_release() {
    let store = FaultyStore::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    let local = policy(OnError::Local);
    let acquire = async || guard.acquire(&local, &Key::global()).await.unwrap();
    let mut granted: Vec<_> =
        futures_util::future::join_all((0..3).map(|_| acquire())).await.into_iter().collect();
    assert!(granted.iter().all(|it| it.is_granted() && !it.decision().is_local()));
    store.fail(StoreError::Timeout);
    let fourth = acquire().await;
    assert!(fourth.is_granted() && fourth.decision().is_local());
    assert!(!acquire().await.is_granted());
    store.work();
    // The release reaches both the store and the memory of this process.
    granted.pop().unwrap().into_permit().unwrap().release().await;
    store.fail(StoreError::Timeout);
    eventually_granted(&guard, &local).await;
}

#[tokio::test]
async fn permit_that_is_dropped_while_redis_is_frozen_is_released_before_its_lease_ends() {
    let server = RedisServer::start();
    let policy = Policy::new("frozen", "1 concurrent lease 1h").unwrap().on_error(OnError::Closed);
    let guard = server.guard("frozen");
    let permit = guard.acquire(&policy, &Key::global()).await.unwrap().into_permit().unwrap();
    server.freeze();
    // The first attempt fails at the deadline.
    permit.release().await;
    server.thaw();
    for _ in 0..1_000 {
        if guard.acquire(&policy, &Key::global()).await.is_ok_and(|it| it.is_granted()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the permit was not released");
}

#[tokio::test]
async fn permit_is_released_while_the_maximum_number_of_checks_is_in_flight() {
    let server = RedisServer::start();
    let settings = server.settings("full").max_in_flight(1).deadline(TEST_TIMEOUT);
    let guard = settings.build().unwrap();
    let permits = Policy::new("full", "1 concurrent lease 1h").unwrap().on_error(OnError::Closed);
    let rate = Policy::new("rate", "1000000/hour").unwrap().on_error(OnError::Closed);
    let permit = guard.acquire(&permits, &Key::global()).await.unwrap().into_permit().unwrap();
    server.freeze();
    let key = Key::global();
    let check = guard.check(&rate, &key);
    let release = async {
        // The check is in flight now, because `join` polls it first.
        let release = permit.release();
        server.thaw();
        release.await;
    };
    let (checked, ()) = futures_util::future::join(check, release).await;
    assert!(checked.unwrap().is_allowed());
    assert!(guard.acquire(&permits, &Key::global()).await.unwrap().is_granted());
}

/// Acquires a permit, after the circuit breaker of the guard has closed.
async fn eventually_granted(guard: &RateGuard, policy: &Policy) {
    for _ in 0..1_000 {
        if guard.acquire(policy, &Key::global()).await.unwrap().is_granted() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the release did not reach the memory of this process");
}
