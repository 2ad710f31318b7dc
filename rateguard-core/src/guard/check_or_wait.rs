//! Checks that wait until there is room, instead of being denied immediately.

use std::{panic::resume_unwind, time::Duration};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::JoinError,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Request, Reservation, Unavailable,
    requested_limit::PermitUse,
    shadow::ShadowChecks,
    wait_queue::{QueueGuard, QueueId},
};
use crate::{
    Decision, Key, Policy, StoreError,
    backoff::Backoff,
    store::{BucketRequest, Operation},
    telemetry::spans::in_current_span,
};

/// The minimum time between two checks of a waiting request. It is the resolution of Tokio's timer.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// The maximum time that a request waits. It is twice the longest window of a quota. Without this maximum, the end of
/// a very long wait could not be represented as an `Instant`.
const MAX_WAIT: Duration = Duration::from_secs(2 * 365 * 86_400);

/// The delays between two checks of a request that waits for a permit.
const PERMIT_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(5), Duration::from_millis(100), 0.25);

impl Request<'_> {
    /// Waits until there is room, and then takes the units. If there is no room within the time `max`, the method
    /// returns a denial.
    ///
    /// Requests that wait for the same key get their units in the order in which they began to wait, even if their
    /// costs differ. There are three exceptions to this order:
    ///
    /// - A request for several keys waits in the queue of the key that will have room last. The request joins the queue
    ///   of each key at most once. If the request later returns to a key for which it has already waited, it waits
    ///   outside the queue of this key. Other requests for this key can then get their units first.
    /// - Guards in different processes have separate queues, so requests from several processes compete when there is
    ///   room.
    /// - A request that does not wait, such as [`check`](Self::check), can take the units for which another request
    ///   waits. So do not use both kinds of requests for the same key.
    ///
    /// If the store expects no room within `max`, this method returns the denial immediately. If other requests are
    /// still ahead in the queue after `max`, the method returns the denial then. In both cases, the guard takes no
    /// units and counts no offence.
    ///
    /// You can drop the future at any time. If the guard has already taken units for the request, it refunds the units
    /// after the drop. If the store fails during this refund, the units stay taken. A future that is neither polled nor
    /// dropped blocks the queue.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] if the store did not decide within the deadline. In the failure mode
    /// [`OnError::Local`](crate::OnError::Local), the method returns a decision instead of this error, because this
    /// process then decides in its memory. A waiting request can need several store calls, and the deadline applies to
    /// each call separately.
    ///
    /// # Panics
    ///
    /// Panics if there is no Tokio runtime with its timer enabled.
    pub async fn check_or_wait(&self, max: Duration) -> Result<Decision, Unavailable> {
        if self.is_in_shadow() {
            // All policies of the request are in shadow mode, so the request is never denied and need not wait.
            return self.check().await;
        }
        self.reserve_or_wait(max).await.map(Reservation::into_decision)
    }

    /// Waits until there is room, like [`check_or_wait`](Self::check_or_wait), and returns the units and permits that the
    /// guard has taken.
    pub(super) async fn reserve_or_wait(&self, max: Duration) -> Result<Reservation, Unavailable> {
        if self.is_in_shadow() {
            return self.reserve().await;
        }
        // The guard may repeat the enforced check. It runs the shadow checks only once, so that the request is
        // counted only once in shadow mode.
        let _shadows = self.shadow_checks(Operation::Check).map(ShadowChecks::start);
        self.record_check(self.reserve_until_room(max), Reservation::decision).await
    }

    async fn reserve_until_room(&self, max: Duration) -> Result<Reservation, Unavailable> {
        let queues = &self.guard().shared.wait_queues;
        let ids: Vec<_> = self.limits().map(|it| QueueId::of(&it.policy, &it.key)).collect();
        // Only limits with a cost above 0 are in this list. For a limit with a cost of 0, the request takes no units
        // that other requests need, so it need not wait for the requests in the queue.
        let with_cost: Vec<_> =
            self.limits().zip(&ids).filter(|(it, _)| it.cost > 0).map(|(_, id)| id).collect();
        let until = Instant::now() + max.min(MAX_WAIT);
        // A request is at the front of at most one queue at a time, so two requests cannot wait for each other
        // forever. A request joins each queue at most once, so it does not wait for other requests again and again.
        let mut front: Option<QueueGuard<'_>> = None;
        let mut joined = Vec::new();
        let mut permit_backoff = PERMIT_BACKOFF;
        loop {
            let queue_of_others =
                with_cost.iter().copied().find(|id| !joined.contains(*id) && queues.has(id));
            let reservation = match queue_of_others {
                None => self.reserve_cancel_safe().await?,
                Some(_) => self.denied_by_others().await?,
            };
            let decision = reservation.decision();
            if decision.is_allowed() {
                return Ok(reservation);
            }
            let now = Instant::now();
            let next_check = match decision.retry_after() {
                Some(wait) => now + wait.clamp(MIN_WAIT, MAX_WAIT),
                // The guard cannot know when a permit will be free, so it checks again until `max` has passed.
                None if decision.is_denied_by_concurrency() && now < until => {
                    until.min(now + permit_backoff.next_delay())
                }
                // There is never room for this cost.
                None => return Ok(reservation),
            };
            if next_check > until {
                return Ok(reservation);
            }
            let next_queue = match queue_of_others {
                Some(id) if decision.retry_after() == Some(Duration::ZERO) => id,
                _ => &ids[self.limit_of(decision)],
            };
            if front.as_ref().is_some_and(|front| front.id() != next_queue) {
                // This request now waits for another key. It leaves its old queue, so that the next request in the
                // old queue can continue.
                front = None;
            }
            if joined.contains(next_queue) {
                sleep_until(next_check).await;
                continue;
            }
            match timeout_at(until, queues.acquire(next_queue.clone())).await {
                Ok(acquired) => front = Some(acquired),
                // Even if there is room now, the requests ahead in the queue will use this room. So this request is
                // denied.
                Err(_) => return self.denied_by_others().await,
            }
            joined.push(next_queue.clone());
        }
    }

    /// Returns a denial without taking units. The request is denied even if there is room, because other requests are
    /// ahead in the queue.
    async fn denied_by_others(&self) -> Result<Reservation, Unavailable> {
        let peek = self.peek().await;
        // The peek replaces a check, so the guard records a failed peek as a failed check.
        let denial = peek
            .map(Decision::denied)
            .inspect_err(|unavailable| self.guard().record_failure(unavailable))?;
        let (guard, on_error) = (self.guard(), self.on_error());
        Ok(Reservation::new(guard, on_error, denial, &self.limits, &[], std::iter::empty()))
    }

    /// Returns the index of the limit to which the tightest quota belongs. After a denial, the tightest quota is the
    /// quota that will have room last.
    fn limit_of(&self, decision: &Decision) -> usize {
        self.buckets(Operation::Peek)
            .get(decision.tightest_index())
            .map_or(0, |bucket| bucket.limit)
    }

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
