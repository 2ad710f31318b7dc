//! The loop of a request that waits: it joins a queue, sleeps until its turn, and checks again.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Request, Reservation, Unavailable,
    wait_deadlines::{Deadlines, PERMIT_BACKOFF, limit_of},
    wait_queue::{QueueId, QueuePosition},
};
use crate::telemetry::outcome::OutcomeLabel;

impl Request<'_> {
    /// Checks the request repeatedly until it is admitted. Returns a denial if the deadline of a limit that denies it
    /// permits no further wait. If `is_bounded` is true, the request only waits if fewer requests wait than the maximum
    /// numbers for the key and for the guard.
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
        let (policy, outcome) = match &result {
            Ok(reservation) => {
                let decision = reservation.decision();
                (Some(decision.policy_name()), OutcomeLabel::of(decision))
            }
            Err(unavailable) => {
                let first = self.limits().next().map(|it| it.policy.shared_name());
                (first, OutcomeLabel::of_unavailable(unavailable).0)
            }
        };
        if let Some(policy) = policy {
            self.guard().record_wait(policy, outcome);
        }
        result.map(|reservation| reservation.with_wait(since.elapsed()))
    }

    async fn wait_for_room(
        &self,
        deadlines: Deadlines,
        is_bounded: bool,
        waiting_since: &mut Option<Instant>,
    ) -> Result<Reservation, Unavailable> {
        let queues = &self.guard().shared.wait_queues;
        let ids: Vec<_> = self.limits().map(|it| QueueId::of(&it.policy, &it.key)).collect();
        let join =
            |limit: usize| queues.join(ids[limit].clone(), self.limits[limit].cost, is_bounded);
        // A request is at the front of at most one queue at a time, so two requests cannot wait for each other
        // forever. A request joins each queue at most once, so it does not wait for other requests again and again.
        let mut position: Option<QueuePosition<'_>> = None;
        let mut joined = Vec::new();
        let mut permit_backoff = PERMIT_BACKOFF;
        let mut other_queue = None;
        loop {
            // For a limit with a cost of 0, the request takes no units that other requests need, so it need not wait
            // for the requests in the queue. For a limit without a wait, a request of a client never waits.
            let behind_others = |joined: &[QueueId]| {
                let has_others = |id| !joined.contains(id) && queues.has(id);
                let joins = |limit: usize| {
                    self.limits[limit].cost > 0 && (!is_bounded || deadlines.has_wait(limit))
                };
                (0..ids.len()).find(|limit| joins(*limit) && has_others(&ids[*limit]))
            };
            let is_other_queue = other_queue.is_some();
            let (limit, entry) = match other_queue.take().or_else(|| behind_others(&joined)) {
                // The request joins the queue before it asks the store for its turn, so that later requests stay behind
                // it.
                Some(limit) => match join(limit) {
                    Some(entry) => (limit, entry),
                    None => return self.denied_by_others(|it| queues.units(&ids[it])).await,
                },
                None => {
                    let reservation = self.reserve_cancel_safe().await?;
                    let (decision, now) = (reservation.decision(), Instant::now());
                    if decision.is_allowed() {
                        return Ok(reservation);
                    }
                    let next_check = deadlines.next_check(decision, now, &mut permit_backoff);
                    let Some(next_check) = next_check else { return Ok(reservation) };
                    let limit = limit_of(decision);
                    let mut behind = None;
                    if position.as_ref().is_none_or(|position| *position.id() != ids[limit]) {
                        // This request now waits for another key. It leaves its old queue, so that the next request in
                        // the old queue can continue.
                        position = None;
                        let Some(entry) = join(limit) else {
                            return match queues.has(&ids[limit]) {
                                true => self.denied_by_others(|it| queues.units(&ids[it])).await,
                                false => Ok(reservation),
                            };
                        };
                        if joined.contains(&ids[limit]) {
                            position = Some(entry.outside());
                        } else if entry.is_alone() {
                            joined.push(ids[limit].clone());
                            position = Some(entry.front().await);
                        } else {
                            behind = Some((limit, entry));
                        }
                    }
                    match behind {
                        // Other requests have joined the queue during the check.
                        Some(behind) => behind,
                        None => {
                            waiting_since.get_or_insert(now);
                            match self.unless_closed(sleep_until(next_check)).await {
                                Some(()) => continue,
                                None => return Ok(reservation),
                            }
                        }
                    }
                }
            };
            let ahead = |it: usize| match it {
                _ if it == limit => entry.ahead(),
                // The request has already waited in these queues, so their requests are not ahead of it.
                _ if joined.contains(&ids[it]) => 0,
                _ => queues.units(&ids[it]),
            };
            let denial = self.denied_by_others(ahead).await?;
            let (decision, now) = (denial.decision(), Instant::now());
            let next_check = deadlines.next_check(decision, now, &mut permit_backoff);
            let Some(next_check) = next_check.filter(|it| *it <= deadlines.of(limit)) else {
                return Ok(denial);
            };
            waiting_since.get_or_insert(now);
            let last = limit_of(decision);
            if last != limit && !is_other_queue && decision.retry_after() != Some(Duration::ZERO) {
                // The key of another limit will have room later than this one, so the request waits for that key.
                drop(entry);
                if !joined.contains(&ids[last]) {
                    position = None;
                    other_queue = Some(last);
                    continue;
                }
                if position.as_ref().is_none_or(|position| *position.id() != ids[last]) {
                    let Some(entry) = join(last) else { return Ok(denial) };
                    position = Some(entry.outside());
                }
                match self.unless_closed(sleep_until(next_check)).await {
                    Some(()) => continue,
                    None => return Ok(denial),
                }
            }
            // The request leaves the front of its old queue before it waits in the new one. Otherwise two requests could
            // wait for each other forever.
            drop(position.take());
            joined.push(ids[limit].clone());
            match self.unless_closed(timeout_at(deadlines.of(limit), entry.front())).await {
                Some(Ok(front)) => position = Some(front),
                // Even if there is room now, the requests ahead in the queue will use this room. So this request is
                // denied.
                Some(Err(_)) => return self.denied_by_others(|it| queues.units(&ids[it])).await,
                None => return Ok(denial),
            }
        }
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
