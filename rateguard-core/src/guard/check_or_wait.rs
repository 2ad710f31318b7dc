//! Checks that wait for room instead of being denied.

use std::{panic::resume_unwind, time::Duration};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::JoinError,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Request, Reservation, Unavailable,
    shadow::ShadowChecks,
    wait_queue::{QueueGuard, QueueId},
};
use crate::{
    Decision, Key, Policy, StoreError,
    store::{BucketRequest, Operation, StoreFuture},
    telemetry::spans::in_current_span,
};

/// The minimum time between two checks of a waiting request. Tokio's timer has no finer resolution.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// The maximum time that a request waits: twice the longest window. Without this maximum, a later time could overflow
/// `Instant`.
const MAX_WAIT: Duration = Duration::from_secs(2 * 365 * 86_400);

impl Request<'_> {
    /// Waits up to `max` for room, and takes the units as soon as there is room.
    ///
    /// The guard serves waiting requests for one key in the order of the calls, whatever the requests cost. The order
    /// has these limits:
    ///
    /// - A request for several keys waits in the queue of the key that will have room last, and joins each queue at
    ///   most once. If the request has to wait for a key again, the guard may serve other requests for this key
    ///   earlier.
    /// - Guards in different processes do not share a queue, so their requests compete when there is room.
    /// - A request that does not wait, such as [`check`](Self::check), takes units for which other requests wait. Do
    ///   not mix both kinds of requests for one key.
    ///
    /// This method returns a denial immediately if the store expects no room within `max`. It returns a denial after
    /// `max` if other requests are still earlier in the queue. After a denial, the guard has taken no units and has
    /// counted no offence.
    ///
    /// You can drop the future at any time. The guard then refunds units that it has taken for the request, if the
    /// store answers within the deadline. A future that is neither polled nor dropped blocks the queue.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not decide within the deadline, unless the failure mode is
    /// [`OnError::Local`](crate::OnError::Local). Each attempt has the full deadline.
    ///
    /// # Panics
    ///
    /// Panics if there is no Tokio runtime with its timer enabled.
    pub async fn check_or_wait(&self, max: Duration) -> Result<Decision, Unavailable> {
        if self.is_in_shadow() {
            // A policy in shadow denies nothing, so there is nothing to wait for.
            return self.check().await;
        }
        // The guard runs the shadow checks only once, even if it repeats the enforced check, so the shadow counts
        // include the request once.
        let _shadows = self.shadow_checks(Operation::Check).map(ShadowChecks::start);
        self.record_check(self.check_until_room(max), |decision| decision).await
    }

    async fn check_until_room(&self, max: Duration) -> Result<Decision, Unavailable> {
        let queues = &self.guard().shared.wait_queues;
        let ids: Vec<_> = self.limits().map(|it| QueueId::of(it.policy, &it.key)).collect();
        // Only limits with a cost above 0 count here. With a cost of 0, the request takes no units from the requests in
        // the queue, so it need not wait for them.
        let with_cost: Vec<_> =
            self.limits().zip(&ids).filter(|(it, _)| it.cost > 0).map(|(_, id)| id).collect();
        let until = Instant::now() + max.min(MAX_WAIT);
        // The request holds the front of at most one queue at a time, so there are no deadlocks. The request joins each
        // queue once, so the number of waits for other requests is bounded.
        let mut front: Option<QueueGuard<'_>> = None;
        let mut joined = Vec::new();
        loop {
            let queue_of_others =
                with_cost.iter().copied().find(|id| !joined.contains(*id) && queues.has(id));
            let decision = match queue_of_others {
                None => self.check_cancel_safe().await?,
                Some(_) => self.denied_by_others().await?,
            };
            if decision.is_allowed() {
                return Ok(decision);
            }
            // Without a retry time, there is never room for this cost.
            let Some(wait) = decision.retry_after() else { return Ok(decision) };
            let next_check = Instant::now() + wait.clamp(MIN_WAIT, MAX_WAIT);
            if next_check > until {
                return Ok(decision);
            }
            let next_queue = match queue_of_others {
                Some(id) if wait.is_zero() => id,
                _ => &ids[self.limit_of(&decision)],
            };
            if front.as_ref().is_some_and(|front| front.id() != next_queue) {
                // This request waits for another key now, so the next request in the old queue can continue.
                front = None;
            }
            if joined.contains(next_queue) {
                sleep_until(next_check).await;
                continue;
            }
            match timeout_at(until, queues.acquire(next_queue.clone())).await {
                Ok(acquired) => front = Some(acquired),
                // If there is room now, it belongs to the earlier requests in the queue, so this request is denied.
                Err(_) => return self.denied_by_others().await,
            }
            joined.push(next_queue.clone());
        }
    }

    /// Returns a denial without taking units, even if there is room, because other requests wait for the room.
    async fn denied_by_others(&self) -> Result<Decision, Unavailable> {
        let peek = self.peek().await;
        // The peek replaces a check, so the guard records a failed peek as a failed check.
        peek.map(Decision::denied)
            .inspect_err(|unavailable| self.guard().record_failure(unavailable))
    }

    /// The index of the limit whose quota is the tightest in the denial.
    fn limit_of(&self, decision: &Decision) -> usize {
        self.buckets(Operation::Peek)
            .get(decision.tightest_index())
            .map_or(0, |bucket| bucket.limit)
    }

    /// Checks the request, and takes no units if the future is dropped before the check returns.
    async fn check_cancel_safe(&self) -> Result<Decision, Unavailable> {
        let buckets = self.buckets(Operation::Check);
        let requests: Vec<BucketRequest<'_>> = buckets.iter().map(|it| it.request).collect();
        // No task is needed for a ready reply, because the caller cannot drop this future in between. A pending reply
        // is dropped here before its first poll, so the store has not started the check.
        if !self.guard().is_closed()
            && let StoreFuture::Ready(Ok(verdict)) =
                self.guard().shared.store.apply(Operation::Check, &requests)
            && verdict.statuses().len() == requests.len()
        {
            return Ok(self.decision(&buckets, &verdict));
        }
        // A task waits for the reply, so the guard gets the receipts for a refund even if this future is dropped.
        let guard = self.guard().clone();
        let limits: Vec<(Policy, Key, u32)> =
            self.limits().map(|it| (it.policy.clone(), it.key, it.cost)).collect();
        let (sender, receiver) = oneshot::channel();
        let mut pending = PendingReservation { receiver, runtime: Handle::current() };
        let task = tokio::spawn(in_current_span(async move {
            let request = limits.iter().fold(Request::new(&guard), |all, (policy, key, cost)| {
                all.and_hashed(policy, *key, *cost)
            });
            let reservation = request.reserve_without_offence().await;
            if let Err(Ok(cancelled)) = sender.send(reservation) {
                let _ = cancelled.refund().await;
            }
        }));
        if let Ok(reservation) = (&mut pending.receiver).await {
            return reservation.map(Reservation::into_decision);
        }
        match task.await.map_err(JoinError::try_into_panic) {
            // The caller gets a panic of the store, as in a check without a task.
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

/// The pending result of a check in a task. If it is dropped before it has received the result, the guard refunds the
/// units.
struct PendingReservation {
    receiver: oneshot::Receiver<Result<Reservation, Unavailable>>,
    runtime: Handle,
}

impl Drop for PendingReservation {
    fn drop(&mut self) {
        self.receiver.close();
        // The task has sent a reservation that this future has not received, so the guard refunds the units here.
        if let Ok(Ok(reservation)) = self.receiver.try_recv() {
            self.runtime.spawn(reservation.refund());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RateGuard;

    #[tokio::test(start_paused = true)]
    async fn queue_is_removed_with_its_last_waiting_check() {
        let guard = RateGuard::in_memory();
        let policy = Policy::new("jobs", "1/hour").unwrap();
        let key = Key::global();
        let second = Duration::from_secs(1);
        assert!(guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        assert!(!guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        let waiting = guard.check_or_wait(&policy, &key, 2 * 3_600 * second);
        assert!(timeout_at(Instant::now() + second, waiting).await.is_err());
        assert_eq!(guard.shared.wait_queues.len(), 0);
    }
}
