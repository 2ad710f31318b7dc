//! Tests the shutdown of a guard. The guard first completes the checks that are in flight, and then closes its
//! connections.

use std::time::{Duration, Instant};

use actix_rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::FaultyStore,
};
use futures_util::future::join;

use crate::support::{eventually, redis_server::RedisServer};

fn policy() -> Policy {
    Policy::new("p", "5/hour").unwrap()
}

#[tokio::test]
async fn closed_guard_disconnects_and_returns_the_closed_error() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let mut connections = || -> usize {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut client).unwrap();
        list.lines().count()
    };
    let guard = redis.guard("closed");
    let clone = guard.clone();
    let key = Key::global();
    assert!(guard.check(&policy(), &key).await.unwrap().is_allowed());
    // The connection with which the test has waited for the start of the server can still be open.
    eventually("only the guard is connected", || (connections() == 2).then_some(()));
    guard.close().await;
    eventually("the guard is disconnected", || (connections() == 1).then_some(()));

    let unavailable = clone.check(&policy(), &key).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Closed);
    assert!(unavailable.lets_pass());
    assert_eq!(clone.health().cause(), Some(StoreError::Closed));
    assert!(!clone.allows(&policy().on_error(OnError::Closed), &key).await);
    // A second call of `close` must not have any effect.
    clone.close().await;
}

#[tokio::test]
async fn closed_memory_guard_counts_nothing() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let guard = RateGuard::builder().store(store.clone()).build().unwrap();
    guard.close().await;
    let unavailable = guard.check(&policy(), &Key::global()).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Closed);
    let waited = guard.check_or_wait(&policy(), &Key::global(), Duration::from_secs(1)).await;
    assert_eq!(waited.unwrap_err().cause(), StoreError::Closed);
    let other = RateGuard::builder().store(store).build().unwrap();
    assert_eq!(other.peek(&policy(), &Key::global()).await.unwrap().remaining(), 5);
}

/// A memory store that sends each reply after a delay.
struct SlowStore(MemoryStore, Duration);

impl Store for SlowStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async move {
            tokio::time::sleep(self.1).await;
            self.0.apply(operation, requests).get().await
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_checks_in_flight() {
    let slow = SlowStore(MemoryStore::new(), Duration::from_millis(50));
    let guard = RateGuard::builder().store(slow).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let close = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let before = tokio::time::Instant::now();
        guard.close().await;
        before.elapsed()
    };
    let (result, waited) = join(guard.check(&policy, &key), close).await;
    assert!(result.unwrap().is_allowed());
    assert!(waited >= Duration::from_millis(40), "{waited:?}");
}

#[tokio::test]
async fn close_waits_no_longer_than_the_deadline() {
    let store = FaultyStore::new(MemoryStore::new());
    store.hang();
    let deadline = Duration::from_millis(100);
    let guard = RateGuard::builder().store(store).deadline(deadline).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let started = Instant::now();
    let close = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        guard.close().await;
    };
    let (result, ()) = join(guard.check(&policy, &key), close).await;
    assert_eq!(result.unwrap_err().cause(), StoreError::Timeout);
    assert!(started.elapsed() < 15 * deadline, "{:?}", started.elapsed());
}
