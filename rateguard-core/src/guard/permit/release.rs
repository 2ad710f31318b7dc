//! Releases permits in a remote store.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::hold::PermitHold;
use crate::{
    StoreError,
    backoff::Backoff,
    guard::{RateGuard, Shared},
    store::Operation,
};

/// The delays between the attempts to release permits.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 0.25);

/// The release of permits in a remote store. If it is dropped before it has run, the thread that renews permits runs it.
/// For example, the runtime of a worker drops its tasks when the server stops.
pub(in crate::guard) struct PermitRelease {
    guard: RateGuard,
    hold: Arc<PermitHold>,
    /// Whether the thread runs the release if this value is dropped.
    may_move: bool,
}

impl PermitRelease {
    pub(in crate::guard) fn new(guard: &RateGuard, hold: &Arc<PermitHold>) -> Self {
        guard.shared.permits.start_release();
        Self { guard: guard.clone(), hold: Arc::clone(hold), may_move: true }
    }

    /// Releases the permits, and waits for the reply of the store, at most for the deadline of the guard. If this attempt
    /// fails, the thread that renews permits tries again until the end of the lease.
    pub(in crate::guard) async fn run(mut self) {
        let requests = self.hold.requests();
        let result = self.guard.run_final_operation(Operation::Refund, &requests).await;
        drop(requests);
        if let Err(cause) = result {
            self.guard.record_store_error(cause);
            if cause != StoreError::Closed {
                let shared = Arc::downgrade(&self.guard.shared);
                self.guard.shared.permits.run(retry(shared, Arc::clone(&self.hold)));
            }
        }
        self.may_move = false;
    }
}

impl Drop for PermitRelease {
    fn drop(&mut self) {
        let permits = &self.guard.shared.permits;
        if self.may_move {
            let (guard, hold) = (self.guard.clone(), Arc::clone(&self.hold));
            permits.run(Self { guard, hold, may_move: false }.run());
        } else {
            permits.end_release();
        }
    }
}

/// Tries to release the permits until the end of their lease. A release does nothing if the permits do not exist, so it may
/// be executed several times.
async fn retry(shared: Weak<Shared>, hold: Arc<PermitHold>) {
    // The last renewal may have started a lease until now.
    let end = Instant::now() + hold.lease();
    let mut backoff = BACKOFF;
    while Instant::now() < end {
        tokio::time::sleep(backoff.next_delay()).await;
        let Some(shared) = shared.upgrade() else { return };
        let guard = RateGuard { shared };
        let (requests, deadline) = (hold.requests(), guard.shared.deadline);
        match guard.run_operation(Operation::Refund, &requests, deadline).await {
            Ok(_) | Err(StoreError::Closed) => return,
            Err(_) => {}
        }
    }
}
