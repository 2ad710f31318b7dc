//! Releases permits in a remote store.

use std::sync::Arc;

use super::{RateGuard, permit_hold::PermitHold};
use crate::{StoreError, store::Operation};

/// The release of permits in a remote store. If it is dropped before it has run, the thread that renews permits runs it.
/// For example, the runtime of a worker drops its tasks when the server stops.
pub(super) struct PermitRelease {
    guard: RateGuard,
    hold: Arc<PermitHold>,
    /// Whether the thread runs the release if this value is dropped.
    may_move: bool,
}

impl PermitRelease {
    pub(super) fn new(guard: &RateGuard, hold: &Arc<PermitHold>) -> Self {
        guard.shared.permits.start_release();
        Self { guard: guard.clone(), hold: Arc::clone(hold), may_move: true }
    }

    /// Releases the permits, and waits for the reply of the store, at most for the deadline of the guard. If the store does
    /// not answer, the permits come back at the end of their lease, because they are no longer renewed.
    pub(super) async fn run(mut self) {
        let shared = &self.guard.shared;
        let (requests, deadline) = (self.hold.requests(), shared.deadline);
        let mut result = self.guard.run_operation(Operation::Refund, &requests, deadline).await;
        if result == Err(StoreError::Closed) {
            // The guard is closed for its users, but `close` waits for releases before it closes the store.
            for request in &requests {
                let release = shared.store.apply_with_deadline(
                    deadline,
                    Operation::Refund,
                    std::slice::from_ref(request),
                );
                result = release.get().await;
            }
        }
        if let Err(cause) = result {
            self.guard.record_store_error(cause);
        }
        drop(requests);
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
