//! The steps of a request that waits: it checks the store, joins a queue behind other requests, and checks again at its
//! turn.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Request, Reservation, Unavailable,
    wait_deadlines::{Deadlines, PERMIT_BACKOFF, limit_of},
    wait_queue::{QueueEntry, QueueId, QueuePosition, WaitQueues},
};
use crate::{Decision, backoff::Backoff};

/// A request that waits for room. The indices of limits are those of the request.
pub(super) struct WaitingRequest<'a, 'r> {
    request: &'a Request<'r>,
    deadlines: Deadlines,
    /// Whether the maximum numbers of waiting requests apply.
    is_bounded: bool,
    /// The queue of each limit.
    queue_ids: Vec<QueueId>,
    /// The queues that the request has joined. It joins each queue at most once, so it does not wait for other requests
    /// again and again.
    joined: Vec<QueueId>,
    /// The queue in which the request has its turn now. It is in at most one queue, so two requests cannot wait for each
    /// other forever.
    position: Option<QueuePosition<'a>>,
    permit_backoff: Backoff,
    waiting_since: Option<Instant>,
}

/// The next step of a request.
enum Step<'a> {
    /// The request has its turn: check it, unless other requests wait for one of its keys.
    Check,
    /// Other requests are ahead of the request.
    WaitBehind(QueuedRequest<'a>),
    /// The request is admitted or denied.
    Return(Reservation),
}

/// A request that has joined the queue of a limit, and is not at its front.
struct QueuedRequest<'a> {
    limit: usize,
    entry: QueueEntry<'a>,
    /// Whether the request has come from the queue of another limit. It then stays in this one, because it could change
    /// between the two queues forever.
    has_changed_queue: bool,
}

impl<'a, 'r> WaitingRequest<'a, 'r> {
    pub(super) fn new(request: &'a Request<'r>, deadlines: Deadlines, is_bounded: bool) -> Self {
        Self {
            request,
            deadlines,
            is_bounded,
            queue_ids: request.limits().map(|it| QueueId::of(&it.policy, &it.key)).collect(),
            joined: Vec::new(),
            position: None,
            permit_backoff: PERMIT_BACKOFF,
            waiting_since: None,
        }
    }

    /// Waits until the request is admitted, or until the deadline of a limit that denies it permits no further wait.
    /// Returns the result, and the start of the wait if the request has waited.
    pub(super) async fn run(mut self) -> (Result<Reservation, Unavailable>, Option<Instant>) {
        let result = self.run_steps().await;
        (result, self.waiting_since)
    }

    async fn run_steps(&mut self) -> Result<Reservation, Unavailable> {
        let mut step = Step::Check;
        loop {
            step = match step {
                // The request joins the queue before it asks the store for its turn, so that later requests stay behind
                // it.
                Step::Check => match self.limit_with_others() {
                    Some(limit) => self.join_behind(limit, false).await?,
                    None => self.check().await?,
                },
                Step::WaitBehind(queued) => self.wait_behind(queued).await?,
                Step::Return(reservation) => return Ok(reservation),
            }
        }
    }

    /// Returns the first limit for which other requests wait, if this request has not joined their queue yet.
    fn limit_with_others(&self) -> Option<usize> {
        // For a limit with a cost of 0, the request takes no units that other requests need, so it need not wait for
        // the requests in the queue. For a limit without a wait, a request of a client never waits.
        let joins = |limit: usize| {
            self.request.limits[limit].cost > 0
                && (!self.is_bounded || self.deadlines.has_wait(limit))
        };
        let has_others =
            |limit: usize| !self.has_joined(limit) && self.queues().has(&self.queue_ids[limit]);
        (0..self.queue_ids.len()).find(|limit| joins(*limit) && has_others(*limit))
    }

    /// Joins the queue of a limit. If the queue is full, the request is denied.
    async fn join_behind(
        &self,
        limit: usize,
        has_changed_queue: bool,
    ) -> Result<Step<'a>, Unavailable> {
        Ok(match self.join(limit) {
            Some(entry) => Step::WaitBehind(QueuedRequest { limit, entry, has_changed_queue }),
            None => Step::Return(self.denied_by_queues().await?),
        })
    }

    /// Checks the request in the store. If the store denies it, waits until the time of the next check in the queue of
    /// the limit that will have room last.
    async fn check(&mut self) -> Result<Step<'a>, Unavailable> {
        let reservation = self.request.reserve_cancel_safe().await?;
        let (decision, now) = (reservation.decision(), Instant::now());
        if decision.is_allowed() {
            return Ok(Step::Return(reservation));
        }
        let Some(next_check) = self.next_check(decision, now) else {
            return Ok(Step::Return(reservation));
        };
        let limit = limit_of(decision);
        if !self.is_in_queue_of(limit) {
            // This request now waits for another key. It leaves its old queue, so that the next request in the old
            // queue can continue.
            self.position = None;
            let Some(entry) = self.join(limit) else {
                let is_full = self.queues().has(&self.queue_ids[limit]);
                let denial = if is_full { self.denied_by_queues().await? } else { reservation };
                return Ok(Step::Return(denial));
            };
            if self.has_joined(limit) {
                self.position = Some(entry.outside());
            } else if entry.is_alone() {
                self.mark_joined(limit);
                self.position = Some(entry.front().await);
            } else {
                // Other requests have joined the queue during the check.
                let queued = QueuedRequest { limit, entry, has_changed_queue: false };
                return Ok(Step::WaitBehind(queued));
            }
        }
        self.waiting_since.get_or_insert(now);
        self.sleep_before_check(next_check, reservation).await
    }

    /// Waits until the request is at the front of the queue, or denies it if this would take too long.
    async fn wait_behind(&mut self, queued: QueuedRequest<'a>) -> Result<Step<'a>, Unavailable> {
        let QueuedRequest { limit, entry, has_changed_queue } = queued;
        let denial = self.expected_denial(limit, &entry).await?;
        let (decision, now) = (denial.decision(), Instant::now());
        let next_check = self.next_check(decision, now);
        let Some(next_check) = next_check.filter(|it| *it <= self.deadlines.of(limit)) else {
            return Ok(Step::Return(denial));
        };
        self.waiting_since.get_or_insert(now);
        let last = limit_of(decision);
        if last != limit && !has_changed_queue && decision.retry_after() != Some(Duration::ZERO) {
            drop(entry);
            return self.wait_for_other_limit(last, next_check, denial).await;
        }
        // The request leaves the front of its old queue before it waits in the new one. Otherwise two requests could
        // wait for each other forever.
        self.position = None;
        self.mark_joined(limit);
        let deadline = self.deadlines.of(limit);
        match self.unless_closed(timeout_at(deadline, entry.front())).await {
            Some(Ok(front)) => {
                self.position = Some(front);
                Ok(Step::Check)
            }
            // Even if there is room now, the requests ahead in the queue will use this room. So this request is
            // denied.
            Some(Err(_)) => self.denied_by_queues().await.map(Step::Return),
            None => Ok(Step::Return(denial)),
        }
    }

    /// Waits for the limit that will have room last, instead of the limit whose queue the request has left.
    async fn wait_for_other_limit(
        &mut self,
        limit: usize,
        next_check: Instant,
        denial: Reservation,
    ) -> Result<Step<'a>, Unavailable> {
        if !self.has_joined(limit) {
            self.position = None;
            return self.join_behind(limit, true).await;
        }
        if !self.is_in_queue_of(limit) {
            let Some(entry) = self.join(limit) else { return Ok(Step::Return(denial)) };
            self.position = Some(entry.outside());
        }
        self.sleep_before_check(next_check, denial).await
    }

    /// Sleeps until the time of the next check. If the guard is closed before, the request gets this denial.
    async fn sleep_before_check(
        &self,
        next_check: Instant,
        denial: Reservation,
    ) -> Result<Step<'a>, Unavailable> {
        let is_open = self.unless_closed(sleep_until(next_check)).await.is_some();
        Ok(if is_open { Step::Check } else { Step::Return(denial) })
    }

    /// Returns the denial that the request gets at its turn in the queue of this limit, if it gets no room before.
    async fn expected_denial(
        &self,
        limit: usize,
        entry: &QueueEntry<'a>,
    ) -> Result<Reservation, Unavailable> {
        let ahead = |it: usize| match it {
            _ if it == limit => entry.ahead(),
            // The request has already waited in these queues, so their requests are not ahead of it.
            _ if self.has_joined(it) => 0,
            _ => self.queues().units(&self.queue_ids[it]),
        };
        self.request.denied_by_others(ahead).await
    }

    /// Returns the denial of a request that is behind all requests in its queues.
    async fn denied_by_queues(&self) -> Result<Reservation, Unavailable> {
        self.request.denied_by_others(|it| self.queues().units(&self.queue_ids[it])).await
    }

    fn next_check(&mut self, decision: &Decision, now: Instant) -> Option<Instant> {
        self.deadlines.next_check(decision, now, &mut self.permit_backoff)
    }

    fn join(&self, limit: usize) -> Option<QueueEntry<'a>> {
        let cost = self.request.limits[limit].cost;
        self.queues().join(self.queue_ids[limit].clone(), cost, self.is_bounded)
    }

    fn has_joined(&self, limit: usize) -> bool {
        self.joined.contains(&self.queue_ids[limit])
    }

    fn mark_joined(&mut self, limit: usize) {
        self.joined.push(self.queue_ids[limit].clone());
    }

    fn is_in_queue_of(&self, limit: usize) -> bool {
        self.position.as_ref().is_some_and(|position| *position.id() == self.queue_ids[limit])
    }

    fn queues(&self) -> &'a WaitQueues {
        let request = self.request;
        &request.guard().shared.wait_queues
    }

    /// Waits for a future. If the guard is closed before the future is ready, returns `None`.
    async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut closed = pin!(self.queues().closed.notified());
        closed.as_mut().enable();
        if self.request.guard().is_closed() {
            return None;
        }
        match select(closed, pin!(future)).await {
            Either::Left(_) => None,
            Either::Right((output, _)) => Some(output),
        }
    }
}
