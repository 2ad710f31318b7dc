//! The permits that this process holds, and the thread that renews them.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Instant,
};

use tokio::sync::mpsc::UnboundedSender;

use super::hold::PermitHold;

/// The permits that this process holds.
#[derive(Default)]
pub(in crate::guard) struct PermitRegistry {
    state: Mutex<RegistryState>,
    /// The number of requests that hold permits, in any store.
    held: AtomicUsize,
    /// The number of requests that wait for permits.
    waiting: AtomicUsize,
    /// The number of releases that the store has not answered yet.
    releasing: AtomicUsize,
    /// The number of renewals and of expired permits since the metrics were last updated. The thread that renews
    /// permits may have no recorder for metrics, so it only counts.
    renewed: AtomicU64,
    expired: AtomicU64,
}

#[derive(Default)]
struct RegistryState {
    /// The permits that have a lease.
    holds: HashMap<PermitId, Arc<PermitHold>>,
    next_id: PermitId,
    /// The time at which the thread wakes up. `None` if it waits until a permit is added.
    wake_at: Option<Instant>,
    /// Sends jobs to the thread. `None` until the first permit with a lease is added. The thread ends when this sender
    /// is dropped.
    thread: Option<UnboundedSender<Job>>,
}

/// The number of a permit in the registry.
pub(in crate::guard) type PermitId = u64;

/// A job for the thread that renews permits.
pub(in crate::guard) enum Job {
    /// The thread must look for the next permit again, because it would wake up too late for a new permit.
    Wake,
    /// The thread runs this future, because the dropped permit was not in an async runtime.
    Run(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl PermitRegistry {
    /// Adds permits that must be renewed. If no thread runs yet, `start` starts it.
    ///
    /// # Errors
    ///
    /// The error of `start`. The permits are added anyway.
    pub(in crate::guard) fn add<E>(
        &self,
        hold: &Arc<PermitHold>,
        start: impl FnOnce() -> Result<UnboundedSender<Job>, E>,
    ) -> (PermitId, Result<(), E>) {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.holds.insert(id, Arc::clone(hold));
        if state.thread.is_none() {
            match start() {
                Ok(thread) => state.thread = Some(thread),
                Err(error) => return (id, Err(error)),
            }
        }
        let renew_at = hold.renew_at();
        if state.wake_at.is_none_or(|wake_at| renew_at < wake_at) {
            state.wake_at = Some(renew_at);
            if let Some(thread) = &state.thread {
                // The thread only ends when the guard is dropped.
                let _ = thread.send(Job::Wake);
            }
        }
        (id, Ok(()))
    }

    /// Removes permits, so that they are no longer renewed.
    pub(in crate::guard) fn remove(&self, id: PermitId) {
        self.lock().holds.remove(&id);
    }

    /// Removes all permits, and returns them.
    pub(in crate::guard) fn take_all(&self) -> Vec<Arc<PermitHold>> {
        self.lock().holds.drain().map(|(_, hold)| hold).collect()
    }

    /// Returns the permits that should be renewed now.
    pub(in crate::guard) fn due(&self) -> Vec<(PermitId, Arc<PermitHold>)> {
        let now = Instant::now();
        let state = self.lock();
        let due = state.holds.iter().filter(|(_, hold)| hold.is_due(now));
        due.map(|(id, hold)| (*id, Arc::clone(hold))).collect()
    }

    /// Sets the time at which the thread wakes up, and returns it. `None` if there are no permits.
    pub(in crate::guard) fn plan_wake(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.wake_at = state.holds.values().map(|hold| hold.renew_at()).min();
        state.wake_at
    }

    /// Sends a future to the thread. If no thread runs yet, `start` starts it.
    ///
    /// # Errors
    ///
    /// The error of `start`. The future is dropped.
    pub(in crate::guard) fn start_and_run<E>(
        &self,
        future: impl Future<Output = ()> + Send + 'static,
        start: impl FnOnce() -> Result<UnboundedSender<Job>, E>,
    ) -> Result<(), E> {
        let mut state = self.lock();
        let thread = match &state.thread {
            Some(thread) => thread,
            None => state.thread.insert(start()?),
        };
        let _ = thread.send(Job::Run(Box::pin(future)));
        Ok(())
    }

    /// Sends a future to the thread. Without a thread, drops the future.
    pub(in crate::guard) fn run(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(thread) = &self.lock().thread {
            let _ = thread.send(Job::Run(Box::pin(future)));
        }
    }

    /// Counts a request that waits for a permit, until the returned value is dropped.
    pub(in crate::guard) fn count_waiting(&self) -> WaitingCount<'_> {
        self.waiting.fetch_add(1, Relaxed);
        WaitingCount(&self.waiting)
    }

    /// Increments the number of requests that hold permits.
    pub(in crate::guard) fn increment_held(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    /// Decrements the number of requests that hold permits.
    pub(in crate::guard) fn decrement_held(&self) {
        self.held.fetch_sub(1, Relaxed);
    }

    /// Counts a release that begins.
    pub(in crate::guard) fn start_release(&self) {
        self.releasing.fetch_add(1, SeqCst);
    }

    /// Counts a release that has ended.
    pub(in crate::guard) fn end_release(&self) {
        self.releasing.fetch_sub(1, SeqCst);
    }

    /// Returns whether the store has not answered a release yet.
    pub(in crate::guard) fn is_releasing(&self) -> bool {
        self.releasing.load(SeqCst) > 0
    }

    /// Counts a renewal.
    pub(in crate::guard) fn count_renewed(&self) {
        self.renewed.fetch_add(1, Relaxed);
    }

    /// Counts permits that have expired.
    pub(in crate::guard) fn count_expired(&self) {
        self.expired.fetch_add(1, Relaxed);
    }

    /// Returns the number of renewals since the last call.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only the gauges read it"))]
    pub(in crate::guard) fn take_renewed(&self) -> u64 {
        self.renewed.swap(0, Relaxed)
    }

    /// Returns the number of permits that have expired since the last call.
    #[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "only the gauges read it"))]
    pub(in crate::guard) fn take_expired(&self) -> u64 {
        self.expired.swap(0, Relaxed)
    }

    /// The number of requests that hold permits, in any store.
    #[cfg(any(feature = "metrics", feature = "statistics"))]
    pub(in crate::guard) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// The number of requests that wait for permits.
    #[cfg(any(feature = "metrics", feature = "statistics"))]
    pub(in crate::guard) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        // Each change leaves the state consistent, so it is safe to use a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiting request until this value is dropped.
pub(in crate::guard) struct WaitingCount<'a>(&'a AtomicUsize);

impl Drop for WaitingCount<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
