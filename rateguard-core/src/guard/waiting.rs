//! The loop of a request that waits: it joins a queue, sleeps until its turn, and checks again.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use smallvec::SmallVec;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Request, Reservation, Unavailable,
    queue_denial::QueueDenial,
    requested_limit::RequestedLimit,
    turn::Turn,
    wait_queue::{QueueId, QueuePlace},
};
use crate::{
    Decision, backoff::Backoff, quota_status::QuotaStatus, store::Operation,
    telemetry::outcome::OutcomeLabel,
};

/// The minimum time between two checks of a waiting request. It is the resolution of Tokio's timer.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// The maximum time that a request waits. It is twice the longest window of a quota. Without this maximum, the end of
/// a very long wait could not be represented as an `Instant`.
const MAX_WAIT: Duration = Duration::from_secs(2 * 365 * 86_400);

/// The delays between two checks of a request that waits for a permit.
const PERMIT_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(5), Duration::from_millis(100), 0.25);

/// The time at which the wait for each limit of a request ends.
pub(super) struct Deadlines(SmallVec<[Instant; 2]>);

impl Deadlines {
    /// Returns the ends of waits that begin now.
    pub(super) fn new(max: impl IntoIterator<Item = Duration>) -> Self {
        let now = Instant::now();
        Self(max.into_iter().map(|max| now + max.min(MAX_WAIT)).collect())
    }

    fn of(&self, limit: usize) -> Instant {
        self.0.get(limit).copied().unwrap_or_else(Instant::now)
    }
}

impl Request<'_> {
    /// Checks the request until it is admitted, as long as the deadlines of all limits that deny it permit a wait. If
    /// `is_bounded` is true, the request only waits if the bounds on waiting requests permit it.
    pub(super) async fn reserve_until_room(
        &self,
        deadlines: Deadlines,
        is_bounded: bool,
    ) -> Result<Reservation, Unavailable> {
        if is_bounded && let Some(denial) = self.repeated_denial(&deadlines) {
            return Ok(denial);
        }
        let mut waiting_since = None;
        let result = self.wait_for_room(deadlines, is_bounded, &mut waiting_since).await;
        let Some(since) = waiting_since else {
            if let Ok(reservation) = &result
                && is_bounded
            {
                self.store_denial(reservation.decision());
            }
            return result;
        };
        self.guard().record_wait(match &result {
            Ok(reservation) => OutcomeLabel::of(reservation.decision()),
            Err(unavailable) => OutcomeLabel::of_unavailable(unavailable).0,
        });
        result.map(|reservation| reservation.with_wait(since.elapsed()))
    }

    /// Returns the last denial behind the queue of the only limit, if this request does not wait either.
    fn repeated_denial(&self, deadlines: &Deadlines) -> Option<Reservation> {
        let [RequestedLimit { policy, key, cost, .. }] = &*self.limits else { return None };
        let (queues, id) = (&self.guard().shared.wait_queues, QueueId::of(policy, key));
        let denial = queues.repeated_denial(&id, policy, *cost)?;
        let next_check =
            self.next_check(&denial, deadlines, Instant::now(), &mut { PERMIT_BACKOFF });
        let is_denied = next_check.is_none() || queues.is_full(&id);
        is_denied.then(|| self.denied_reservation(denial))
    }

    fn store_denial(&self, decision: &Decision) {
        if let [RequestedLimit { policy, key, cost, .. }] = &*self.limits
            && !decision.is_allowed()
        {
            let shared = &self.guard().shared;
            let max_ttl = shared.denial_cache.max_ttl();
            shared.wait_queues.store_denial(&QueueId::of(policy, key), |units| {
                QueueDenial::new(decision, policy, *cost, units, max_ttl)
            });
        }
    }

    fn denied_reservation(&self, denial: Decision) -> Reservation {
        let (guard, on_error) = (self.guard(), self.on_error());
        Reservation::new(guard, on_error, denial, &self.limits, &[], std::iter::empty())
    }

    async fn wait_for_room(
        &self,
        deadlines: Deadlines,
        is_bounded: bool,
        waiting_since: &mut Option<Instant>,
    ) -> Result<Reservation, Unavailable> {
        let queues = &self.guard().shared.wait_queues;
        let ids: Vec<_> = self.limits().map(|it| QueueId::of(it.policy, &it.key)).collect();
        // A request is at the front of at most one queue at a time, so two requests cannot wait for each other
        // forever. A request joins each queue at most once, so it does not wait for other requests again and again.
        let mut place: Option<QueuePlace<'_>> = None;
        let mut joined = Vec::new();
        let mut permit_backoff = PERMIT_BACKOFF;
        loop {
            // For a limit with a cost of 0, the request takes no units that other requests need, so it need not wait
            // for the requests in the queue.
            let behind_others = self
                .limits()
                .zip(&ids)
                .position(|(limit, id)| limit.cost > 0 && !joined.contains(id) && queues.has(id));
            let reservation = match behind_others {
                None => self.reserve_cancel_safe().await?,
                Some(_) => self.denied_by_others(&ids, &joined).await?,
            };
            let decision = reservation.decision();
            let now = Instant::now();
            let next_check = match decision.is_allowed() {
                true => None,
                false => self.next_check(decision, &deadlines, now, &mut permit_backoff),
            };
            let Some(next_check) = next_check else { return Ok(reservation) };
            let limit = match behind_others {
                Some(limit) if decision.retry_after() == Some(Duration::ZERO) => limit,
                _ => self.limit_of(decision),
            };
            if next_check > deadlines.of(limit) {
                return Ok(reservation);
            }
            let queue = &ids[limit];
            if place.as_ref().is_some_and(|place| place.id() != queue) {
                // This request now waits for another key. It leaves its old queue, so that the next request in the
                // old queue can continue.
                place = None;
            }
            if place.is_none() {
                let cost = self.limits[limit].cost;
                let Some(entry) = queues.join(queue.clone(), cost, is_bounded) else {
                    return Ok(reservation);
                };
                waiting_since.get_or_insert(now);
                if joined.contains(queue) {
                    place = Some(entry.outside());
                } else {
                    joined.push(queue.clone());
                    let is_alone = entry.is_alone();
                    let front = timeout_at(deadlines.of(limit), entry.front());
                    match self.unless_closed(front).await {
                        Some(Ok(front)) => place = Some(front),
                        // Even if there is room now, the requests ahead in the queue will use this room. So this
                        // request is denied.
                        Some(Err(_)) => return self.denied_by_others(&ids, &[]).await,
                        None => return Ok(reservation),
                    }
                    if !is_alone || behind_others.is_some() {
                        // The requests that were ahead may have left the queue early.
                        continue;
                    }
                }
            }
            if self.unless_closed(sleep_until(next_check)).await.is_none() {
                return Ok(reservation);
            }
        }
    }

    /// Returns the time of the next check of a denied request. The result is `None` if the request is denied: a limit
    /// without room has none before the end of its wait.
    fn next_check(
        &self,
        decision: &Decision,
        deadlines: &Deadlines,
        now: Instant,
        permit_backoff: &mut Backoff,
    ) -> Option<Instant> {
        let after = |wait: Duration| now + wait.clamp(MIN_WAIT, MAX_WAIT);
        let ban = decision.banned_for().map(|ban| (after(ban), self.limit_of(decision)));
        let waits = decision.statuses().iter().filter_map(|status| {
            let wait = status.retry_after().filter(|wait| !wait.is_zero())?;
            Some((after(wait), status.limit_index()))
        });
        let mut last = None;
        for (check, limit) in ban.into_iter().chain(waits) {
            if check > deadlines.of(limit) {
                return None;
            }
            last = last.max(Some(check));
        }
        // The guard cannot know when a permit will be free, so it checks again until the end of the wait.
        let mut end = None;
        for status in decision.statuses().iter().filter(|it| it.retry_after().is_none()) {
            let deadline = deadlines.of(status.limit_index());
            if !status.lacks_permit() || now >= deadline {
                return None;
            }
            end = Some(end.map_or(deadline, |end: Instant| end.min(deadline)));
        }
        match (last, end) {
            (Some(last), _) => Some(last),
            (None, Some(end)) => Some(end.min(now + permit_backoff.next_delay())),
            (None, None) => Some(after(Duration::ZERO)),
        }
    }

    /// Returns a denial without taking units, because other requests are ahead in a queue. The wait of each quota in
    /// this denial ends with the turn of the request. In the queues that the request has joined, nobody is ahead.
    async fn denied_by_others(
        &self,
        ids: &[QueueId],
        joined: &[QueueId],
    ) -> Result<Reservation, Unavailable> {
        let queues = &self.guard().shared.wait_queues;
        let ahead = |id| if joined.contains(id) { 0 } else { queues.units(id) };
        let units: SmallVec<[u64; 2]> = ids.iter().map(ahead).collect();
        let turn = |limit: usize, quota| Turn::behind(units[limit], quota, self.limits[limit].cost);
        let mut buckets = self.buckets(Operation::Peek);
        for bucket in buckets.iter_mut().filter(|bucket| bucket.is_quota) {
            if let Some(turn) = turn(bucket.limit, bucket.request.quota) {
                bucket.request.cost = turn.peeked_cost();
            }
        }
        // The peek replaces a check, so the guard records a failed peek as a failed check.
        let mut denial = self
            .peek_buckets(&buckets)
            .await
            .map(Decision::denied)
            .inspect_err(|unavailable| self.guard().record_failure(unavailable))?;
        denial.replace_statuses(|status| {
            let limit = status.limit_index();
            let wait = turn(limit, status.quota())?.wait(&status.bucket_status());
            Some(status.clone().with_wait(self.limits[limit].cost, wait))
        });
        Ok(self.denied_reservation(denial))
    }

    /// Returns the index of the limit to which the tightest quota belongs. After a denial, the tightest quota is the
    /// quota that will have room last.
    fn limit_of(&self, decision: &Decision) -> usize {
        decision.statuses().get(decision.tightest_index()).map_or(0, QuotaStatus::limit_index)
    }

    /// Waits for a future. If the guard is closed before the future is ready, returns `None`.
    async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut closed = pin!(self.guard().shared.wait_queues.closed.notified());
        closed.as_mut().enable();
        if self.guard().is_closed() {
            return None;
        }
        match select(closed, pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }
}
