//! Tests a congested store. Congestion is not a failure of the store. If a check misses its deadline because there
//! are too many other checks, the guard must decide in memory.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, RateGuardBuilder, StoreError,
    builder::OwnStore,
    store::{BucketRequest, Operation, Store, StoreFuture},
};

/// A store that a test can make congested. While the store is congested, it does not reply within the deadline.
#[derive(Clone)]
struct CongestedStore {
    store: Arc<MemoryStore>,
    is_congested: Arc<AtomicBool>,
}

impl CongestedStore {
    fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new()), is_congested: Arc::default() }
    }

    fn guard(&self) -> RateGuardBuilder<OwnStore> {
        RateGuard::builder().store(self.clone()).deadline(Duration::from_millis(20))
    }

    fn set_congested(&self, is_congested: bool) {
        self.is_congested.store(is_congested, SeqCst);
    }
}

impl Store for CongestedStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(async move {
            if self.is_congested.load(SeqCst) {
                pending::<()>().await;
            }
            self.store.apply(operation, charges).get().await
        }))
    }

    fn timeout_cause(&self, _: &[BucketRequest<'_>]) -> StoreError {
        StoreError::Overloaded
    }
}

#[tokio::test(start_paused = true)]
async fn late_check_is_decided_locally_with_mirrored_counts() {
    for on_error in [OnError::Open, OnError::Closed, OnError::Local] {
        let store = CongestedStore::new();
        let guard = store.guard().on_error(on_error).build().unwrap();
        let policy = Policy::new("p", "3/hour; 9/day fixed_window").unwrap();
        let key = Key::from("ann");
        assert_eq!(guard.check(&policy, &key).await.unwrap().remaining(), 2);
        store.set_congested(true);
        for remaining in [1, 0] {
            let decision = guard.check(&policy, &key).await.unwrap();
            assert!(decision.is_allowed() && decision.is_local(), "{on_error:?}");
            assert_eq!(decision.remaining(), remaining);
        }
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(!decision.is_allowed() && decision.is_local(), "{on_error:?}");
        // Congestion is not a failure, so the health report of the guard must still be good.
        assert!(guard.health().is_good());
        let failures = guard.failures();
        assert_eq!((failures.open, failures.closed, failures.local), (0, 0, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn congestion_does_not_open_the_circuit_breaker() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let (policy, key) = (Policy::new("p", "1000/hour").unwrap(), Key::from("ann"));
    store.set_congested(true);
    for _ in 0..100 {
        assert!(guard.check(&policy, &key).await.unwrap().is_local());
    }
    store.set_congested(false);
    assert!(!guard.check(&policy, &key).await.unwrap().is_local());
}

#[tokio::test(start_paused = true)]
async fn late_check_is_denied_by_a_newer_cached_denial() {
    let store = CongestedStore::new();
    let guard = store.guard().denial_cache_ttl(Duration::from_secs(10)).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/hour").unwrap(), Key::from("ann"));
    // While this check waits for the congested store, other checks use up the limit.
    store.set_congested(true);
    let late = tokio::spawn({
        let (guard, policy, key) = (guard.clone(), policy.clone(), key);
        async move { guard.check(&policy, &key).await }
    });
    tokio::task::yield_now().await;
    store.set_congested(false);
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    let decision = late.await.unwrap().unwrap();
    assert!(!decision.is_allowed() && !decision.is_local());
}

#[tokio::test(start_paused = true)]
async fn late_check_invalidates_no_cached_denial() {
    let store = CongestedStore::new();
    let guard = store.guard().denial_cache_ttl(Duration::from_secs(10)).build().unwrap();
    let key = Key::from("ann");
    let policy = Policy::new("p", "5/hour").unwrap();
    assert!(guard.request(&policy, &key).cost(4).check().await.unwrap().is_allowed());
    assert!(!guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
    store.set_congested(true);
    // The store does not reply to another check of the same key. The store may have admitted this check, but a check
    // never frees units. Therefore the cached denial stays valid.
    assert!(guard.check(&policy, &key).await.unwrap().is_local());
    let decision = guard.request(&policy, &key).cost(2).check().await.unwrap();
    assert!(!decision.is_allowed() && !decision.is_local());
}

#[tokio::test(start_paused = true)]
async fn local_denials_count_as_offences_of_a_ban() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let policy = Policy::new("login", "1/hour").unwrap().ban("3/hour for 1h").unwrap();
    let key = Key::from("ann");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    store.set_congested(true);
    for offence in 1..=3 {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(!decision.is_allowed());
        assert_eq!(decision.banned_for().is_some(), offence == 3);
    }
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
}

#[tokio::test(start_paused = true)]
async fn ban_of_the_store_applies_to_local_decisions() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let policy = Policy::new("login", "1/hour").unwrap().ban("1/hour for 1h").unwrap();
    let key = Key::from("ann");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
    store.set_congested(true);
    let decision = guard.request(&policy, &key).cost(0).check().await.unwrap();
    assert!(decision.is_local() && decision.banned_for().is_some());
    // The method `unban` must end two bans: the ban in the store, and the ban in the memory of the guard.
    store.set_congested(false);
    guard.unban(&policy, &key).await.unwrap();
    store.set_congested(true);
    let decision = guard.request(&policy, &key).cost(0).check().await.unwrap();
    assert!(decision.is_local() && decision.banned_for().is_none());
}

#[tokio::test(start_paused = true)]
async fn large_log_is_mirrored_as_counters_unless_on_error_is_local() {
    for (on_error, algorithm) in
        [(OnError::Open, "sliding_window_counter"), (OnError::Local, "sliding_window")]
    {
        let store = CongestedStore::new();
        let guard = store.guard().on_error(on_error).build().unwrap();
        let (policy, key) = (Policy::new("p", "100/hour").unwrap(), Key::from("ann"));
        for _ in 0..60 {
            guard.check(&policy, &key).await.unwrap();
        }
        store.set_congested(true);
        let is_allowed = async |units| {
            let decision = guard.request(&policy, &key).cost(units).check().await.unwrap();
            assert_eq!(decision.quota().algorithm().name(), algorithm);
            decision.is_allowed()
        };
        assert!(!is_allowed(41).await && is_allowed(40).await && !is_allowed(1).await);
    }
}
