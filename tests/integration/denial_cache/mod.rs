//! Tests the denial cache. A guard with this cache stores its denials. When a denied check is repeated, the guard
//! denies it without a call of the store, and still reports correct numbers.

mod bounds;
mod invalidation;
mod lookups;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{
    Key, MemoryStore, Policy, RateGuard,
    store::{BucketRequest, Operation, Store, StoreFuture},
    test_util::ManualClock,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A memory store that, like a store outside this process, can reply later. It counts how often it is called.
#[derive(Clone)]
struct RemoteStore {
    store: Arc<MemoryStore>,
    calls: Arc<AtomicU64>,
    /// The operation whose replies are delayed, and the length of the delay.
    delay: Option<(Operation, Duration)>,
    /// Whether the store replies with [`StoreFuture::Ready`]. If this is `false`, it replies with
    /// [`StoreFuture::Pending`].
    is_ready: bool,
}

impl RemoteStore {
    /// Creates a store whose clock does not move.
    fn new() -> Self {
        Self::of(MemoryStore::new().clock(ManualClock::new()))
    }

    fn of(store: MemoryStore) -> Self {
        let calls = Arc::new(AtomicU64::new(0));
        Self { store: Arc::new(store), calls, delay: None, is_ready: false }
    }

    /// Returns two stores. The first store replies with a pending future, and the second store replies immediately.
    fn pending_and_ready() -> [Self; 2] {
        [false, true].map(|is_ready| Self { is_ready, ..Self::new() })
    }

    /// Returns a guard with a cache TTL of one hour, which is longer than any test.
    fn guard(&self) -> RateGuard {
        self.guard_with_ttl(HOUR)
    }

    fn guard_with_ttl(&self, ttl: Duration) -> RateGuard {
        let settings = RateGuard::builder().store(self.clone()).deadline(HOUR / 60);
        settings.denial_cache_ttl(ttl).build().unwrap()
    }

    /// Returns how often the store was called since the previous call of this method.
    fn take_calls(&self) -> u64 {
        self.calls.swap(0, SeqCst)
    }
}

impl Store for RemoteStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        if self.is_ready {
            self.calls.fetch_add(1, SeqCst);
            return self.store.apply(operation, requests);
        }
        StoreFuture::Pending(Box::pin(async move {
            self.calls.fetch_add(1, SeqCst);
            let reply = self.store.apply(operation, requests).get().await;
            if let Some((_, delay)) = self.delay.filter(|(delayed, _)| *delayed == operation) {
                tokio::time::sleep(delay).await;
            }
            reply
        }))
    }
}

fn policy() -> Policy {
    Policy::new("p", "2/hour").unwrap()
}

async fn admitted(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    guard.check(policy, key).await.unwrap().is_allowed()
}

/// Asserts that the guard denies a check, and returns the retry time of the denial.
async fn denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    let decision = guard.check(policy, key).await.unwrap();
    assert!(!decision.is_allowed(), "{decision:?}");
    decision.retry_after().unwrap()
}

/// Sends checks until the guard denies one of them, and returns the retry time of the denial.
async fn until_denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    loop {
        let decision = guard.check(policy, key).await.unwrap();
        if !decision.is_allowed() {
            return decision.retry_after().unwrap();
        }
    }
}

/// Exhausts the limit of a key, so that the cache contains a denial of this key. Returns the key.
async fn exhausted(guard: &RateGuard, policy: &Policy) -> Key {
    let key = Key::from("ann");
    until_denied(guard, policy, &key).await;
    key
}
