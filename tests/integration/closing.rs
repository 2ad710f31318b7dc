//! The end of a guard: what is under way is answered, then the connections are closed.

use std::time::{Duration, Instant};

use futures_util::future::join;
use rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, StoreError,
    store::{Answer, Charge, Operation, Store},
    test_util::FaultyStore,
};

use crate::support::{eventually, redis_server::RedisServer};

fn policy() -> Policy {
    Policy::new("p", "5/hour").unwrap()
}

#[tokio::test]
async fn a_closed_guard_has_no_connection_and_says_why_it_does_not_decide() {
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
    assert_eq!(connections(), 2);
    guard.close().await;
    eventually("it is disconnected", || (connections() == 1).then_some(()));

    let unavailable = clone.check(&policy(), &key).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Closed);
    assert!(unavailable.lets_pass());
    assert_eq!(clone.health().cause(), Some(StoreError::Closed));
    assert!(!clone.allows(&policy().on_error(OnError::Closed), &key).await);
    // Once more does no harm.
    clone.close().await;
}

#[tokio::test]
async fn in_memory_a_closed_guard_decides_no_more_and_takes_nothing() {
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

/// A store in memory that takes its time.
struct Slow(MemoryStore, Duration);

impl Store for Slow {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            tokio::time::sleep(self.1).await;
            self.0.apply(operation, charges).get().await
        }))
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_answered_before() {
    let slow = Slow(MemoryStore::new(), Duration::from_millis(50));
    let guard = RateGuard::builder().store(slow).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let close = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let before = tokio::time::Instant::now();
        guard.close().await;
        before.elapsed()
    };
    let (answer, waited) = join(guard.check(&policy, &key), close).await;
    assert!(answer.unwrap().is_allowed());
    assert!(waited >= Duration::from_millis(40), "{waited:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_store_that_hangs_for_longer_than_the_deadline() {
    let store = FaultyStore::new(MemoryStore::new());
    store.hang();
    let deadline = Duration::from_millis(100);
    let guard = RateGuard::builder().store(store).deadline(deadline).build().unwrap();
    let (policy, key) = (policy(), Key::global());
    let begun = Instant::now();
    let close = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        guard.close().await;
    };
    let (answer, ()) = join(guard.check(&policy, &key), close).await;
    assert_eq!(answer.unwrap_err().cause(), StoreError::Timeout);
    assert!(begun.elapsed() < 15 * deadline, "{:?}", begun.elapsed());
}
