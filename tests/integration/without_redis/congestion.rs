//! Congestion is no outage: a check that is late because too many others wait is decided by what the process knows.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use rateguard::{
    Key, MemoryStore, OnError, Policy, RateGuard, RateGuardBuilder, StoreError,
    store::{Answer, Charge, Operation, Store},
};

/// A store that answers later, and while it is congested not within the deadline.
#[derive(Clone)]
struct CongestedStore {
    store: Arc<MemoryStore>,
    is_congested: Arc<AtomicBool>,
}

impl CongestedStore {
    fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new()), is_congested: Arc::default() }
    }

    fn guard(&self) -> RateGuardBuilder {
        RateGuard::builder().store(self.clone()).deadline(Duration::from_millis(20))
    }

    fn congest(&self, is_congested: bool) {
        self.is_congested.store(is_congested, SeqCst);
    }
}

impl Store for CongestedStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(async move {
            if self.is_congested.load(SeqCst) {
                pending::<()>().await;
            }
            self.store.apply(operation, charges).get().await
        }))
    }

    fn timeout_cause(&self, _: &[Charge<'_>]) -> StoreError {
        StoreError::Overloaded
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_check_is_decided_in_memory_with_what_the_store_has_admitted() {
    for on_error in [OnError::Open, OnError::Closed, OnError::Local] {
        let store = CongestedStore::new();
        let guard = store.guard().on_error(on_error).build().unwrap();
        let policy = Policy::new("p", "3/hour; 9/day fixed_window").unwrap();
        let key = Key::from("ann");
        assert_eq!(guard.check(&policy, &key).await.unwrap().remaining(), 2);
        store.congest(true);
        for remaining in [1, 0] {
            let decision = guard.check(&policy, &key).await.unwrap();
            assert!(decision.is_allowed() && decision.is_local(), "{on_error:?}");
            assert_eq!(decision.remaining(), remaining);
        }
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(!decision.is_allowed() && decision.is_local(), "{on_error:?}");
        // The store is not held to be away.
        assert!(guard.health().is_good());
        let failures = guard.failures();
        assert_eq!((failures.open, failures.closed, failures.local), (0, 0, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn congestion_never_opens_the_circuit_breaker() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let (policy, key) = (Policy::new("p", "1000/hour").unwrap(), Key::from("ann"));
    store.congest(true);
    for _ in 0..100 {
        assert!(guard.check(&policy, &key).await.unwrap().is_local());
    }
    store.congest(false);
    assert!(!guard.check(&policy, &key).await.unwrap().is_local());
}

#[tokio::test(start_paused = true)]
async fn a_denial_that_arrived_meanwhile_decides_a_late_check() {
    let store = CongestedStore::new();
    let guard = store.guard().remember_denials(Duration::from_secs(10)).build().unwrap();
    let (policy, key) = (Policy::new("p", "1/hour").unwrap(), Key::from("ann"));
    // The check waits, and other checks use up the limit meanwhile.
    store.congest(true);
    let late = tokio::spawn({
        let (guard, policy, key) = (guard.clone(), policy.clone(), key);
        async move { guard.check(&policy, &key).await }
    });
    tokio::task::yield_now().await;
    store.congest(false);
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(!guard.check(&policy, &key).await.unwrap().is_allowed());
    let decision = late.await.unwrap().unwrap();
    assert!(!decision.is_allowed() && !decision.is_local());
}

#[tokio::test(start_paused = true)]
async fn a_check_without_an_answer_forgets_no_denial() {
    let store = CongestedStore::new();
    let guard = store.guard().remember_denials(Duration::from_secs(10)).build().unwrap();
    let key = Key::from("ann");
    let policy = Policy::new("p", "5/hour").unwrap();
    assert!(guard.request(&policy, &key).cost(4).check().await.unwrap().is_allowed());
    assert!(!guard.request(&policy, &key).cost(2).check().await.unwrap().is_allowed());
    store.congest(true);
    // Another check of the same key gets no answer; it may have taken the last unit.
    assert!(guard.check(&policy, &key).await.unwrap().is_local());
    let decision = guard.request(&policy, &key).cost(2).check().await.unwrap();
    assert!(!decision.is_allowed() && !decision.is_local());
}

#[tokio::test(start_paused = true)]
async fn local_denials_are_offences_that_begin_a_ban() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let policy = Policy::new("login", "1/hour").unwrap().ban("3/hour for 1h").unwrap();
    let key = Key::from("ann");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    store.congest(true);
    for offence in 1..=3 {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(!decision.is_allowed());
        assert_eq!(decision.banned_for().is_some(), offence == 3);
    }
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_ban_of_the_store_holds_for_local_decisions() {
    let store = CongestedStore::new();
    let guard = store.guard().build().unwrap();
    let policy = Policy::new("login", "1/hour").unwrap().ban("1/hour for 1h").unwrap();
    let key = Key::from("ann");
    assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
    store.congest(true);
    let decision = guard.request(&policy, &key).cost(0).check().await.unwrap();
    assert!(decision.is_local() && decision.banned_for().is_some());
    // And ends with it.
    store.congest(false);
    guard.unban(&policy, &key).await.unwrap();
    store.congest(true);
    let decision = guard.request(&policy, &key).cost(0).check().await.unwrap();
    assert!(decision.is_local() && decision.banned_for().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_large_log_is_mirrored_as_counters_unless_the_failure_mode_is_local() {
    for (on_error, algorithm) in
        [(OnError::Open, "sliding_window_counter"), (OnError::Local, "sliding_window")]
    {
        let store = CongestedStore::new();
        let guard = store.guard().on_error(on_error).build().unwrap();
        let (policy, key) = (Policy::new("p", "100/hour").unwrap(), Key::from("ann"));
        for _ in 0..60 {
            guard.check(&policy, &key).await.unwrap();
        }
        store.congest(true);
        let admitted = async |units| {
            let decision = guard.request(&policy, &key).cost(units).check().await.unwrap();
            assert_eq!(decision.quota().algorithm().name(), algorithm);
            decision.is_allowed()
        };
        assert!(!admitted(41).await && admitted(40).await && !admitted(1).await);
    }
}
