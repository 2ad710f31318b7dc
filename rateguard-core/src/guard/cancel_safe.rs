//! Checks that take nothing if their future is dropped before it returns.

use std::panic::resume_unwind;

use tokio::{runtime::Handle, sync::oneshot, task::JoinError};

use super::{Request, Reservation, Unavailable, requested_limit::PermitUse};
use crate::{
    Key, Policy, StoreError,
    store::{BucketRequest, Operation},
    telemetry::spans::in_current_span,
};

impl Request<'_> {
    /// Checks the request. If this future is dropped before it returns, the guard refunds the units and releases the
    /// permits that the check has taken.
    pub(super) async fn reserve_cancel_safe(&self) -> Result<Reservation, Unavailable> {
        // If the store is in memory, no task is needed, because this future cannot be dropped before it uses the reply.
        if !self.guard().has_remote_store() {
            return self.reserve_without_offence().await;
        }
        let buckets = self.buckets(Operation::Check);
        let requests: Vec<BucketRequest<'_>> = buckets.iter().map(|it| it.request).collect();
        // A separate task waits for the reply. Even if this future is dropped, the task gets the receipts that a
        // refund needs.
        let guard = self.guard().clone();
        let limits: Vec<(Policy, Key, u32, PermitUse)> = self
            .limits()
            .map(|it| (Policy::clone(&it.policy), it.key, it.cost, it.permit_use))
            .collect();
        let default_on_error = self.default_on_error;
        let (sender, receiver) = oneshot::channel();
        let mut pending = PendingReservation { receiver, runtime: Handle::current() };
        let task = tokio::spawn(in_current_span(async move {
            let empty = Request::new(&guard).default_on_error(default_on_error);
            let mut request = limits
                .iter()
                .fold(empty, |all, (policy, key, cost, _)| all.and_hashed(policy, *key, *cost));
            for (limit, (.., permit_use)) in request.limits.iter_mut().zip(&limits) {
                limit.permit_use = *permit_use;
            }
            let reservation = request.reserve_without_offence().await;
            if let Err(Ok(cancelled)) = sender.send(reservation) {
                let _ = cancelled.refund().await;
            }
        }));
        if let Ok(reservation) = (&mut pending.receiver).await {
            return reservation;
        }
        match task.await.map_err(JoinError::try_into_panic) {
            // If the store panics in the task, the caller gets this panic, as in a check without a task.
            Err(Ok(panic)) => resume_unwind(panic),
            // The task was cancelled, because the runtime is shutting down.
            _ => {
                let cause = StoreError::Disconnected(None);
                let unavailable = self.guard().unavailable(cause, self.on_error(), &requests);
                self.guard().record_failure(&unavailable);
                Err(unavailable)
            }
        }
    }
}

/// Receives the result of a check that runs in a task. If this receiver is dropped before it receives the result, the
/// guard refunds the units.
struct PendingReservation {
    receiver: oneshot::Receiver<Result<Reservation, Unavailable>>,
    runtime: Handle,
}

impl Drop for PendingReservation {
    fn drop(&mut self) {
        self.receiver.close();
        // If the task has sent a reservation that the waiting future has not received, the guard refunds its units
        // here.
        if let Ok(Ok(reservation)) = self.receiver.try_recv() {
            self.runtime.spawn(reservation.refund());
        }
    }
}
