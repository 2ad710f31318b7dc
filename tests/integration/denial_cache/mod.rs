//! The denial cache: a guard denies a repeated check without a store call, and reports correct numbers.

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

/// A store outside this process that counts its calls.
#[derive(Clone)]
struct RemoteStore {
    store: Arc<MemoryStore>,
    calls: Arc<AtomicU64>,
    /// The operation with delayed replies, and the delay.
    delay: Option<(Operation, Duration)>,
    /// Whether the store replies with [`StoreFuture::Ready`]. If not, it replies with [`StoreFuture::Pending`].
    is_ready: bool,
}

impl RemoteStore {
    /// Creates a store whose clock stands still.
    fn new() -> Self {
        Self::of(MemoryStore::new().clock(ManualClock::new()))
    }

    fn of(store: MemoryStore) -> Self {
        let calls = Arc::new(AtomicU64::new(0));
        Self { store: Arc::new(store), calls, delay: None, is_ready: false }
    }

    /// Returns a pair of stores: one replies with a pending future, and one replies immediately.
    fn pending_and_ready() -> [Self; 2] {
        [false, true].map(|is_ready| Self { is_ready, ..Self::new() })
    }

    /// A guard with a cache TTL of one hour, which is longer than any test.
    fn guard(&self) -> RateGuard {
        self.guard_with_ttl(HOUR)
    }

    fn guard_with_ttl(&self, ttl: Duration) -> RateGuard {
        let settings = RateGuard::builder().store(self.clone()).deadline(HOUR / 60);
        settings.denial_cache_ttl(ttl).build().unwrap()
    }

    /// Returns the number of calls since the last call of this method, and resets the number.
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

/// Asserts that the guard denies a check, and returns the retry time.
async fn denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    let decision = guard.check(policy, key).await.unwrap();
    assert!(!decision.is_allowed(), "{decision:?}");
    decision.retry_after().unwrap()
}

/// Sends checks until the guard denies one, and returns the retry time.
async fn until_denied(guard: &RateGuard, policy: &Policy, key: &Key) -> Duration {
    loop {
        let decision = guard.check(policy, key).await.unwrap();
        if !decision.is_allowed() {
            return decision.retry_after().unwrap();
        }
    }
}

/// Exhausts the limit of a key, so the cache holds a denial of the key.
async fn exhausted(guard: &RateGuard, policy: &Policy) -> Key {
    let key = Key::from("ann");
    until_denied(guard, policy, &key).await;
    key
}
