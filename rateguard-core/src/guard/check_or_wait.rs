//! Waiting for room instead of being denied.

use std::{panic::resume_unwind, time::Duration};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::JoinError,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    Request, Reservation, Unavailable,
    check_span::in_check_span,
    shadow::ShadowChecks,
    wait_queue::{QueueGuard, QueueId},
};
use crate::{
    Decision, Key, Policy, StoreError,
    store::{BucketRequest, Operation, StoreFuture},
};

/// No wait is shorter, however soon a store says that there is room: Tokio's timer counts no less.
const SHORTEST: Duration = Duration::from_millis(1);
/// No wait is longer: twice the longest window.
const LONGEST: Duration = Duration::from_secs(2 * 365 * 86_400);

impl Request<'_> {
    /// Takes what is asked for as soon as there is room for it, if that is within `max`.
    ///
    /// Those of one guard who wait for a key are served in the order in which they came, also if the first of them asks for
    /// much. Of several keys it waits for the one that will have room last, and once for each, so others may come before it
    /// at a key that it has to wait for again. Waiting guards of different processes compete,
    /// as each asks at the moment at which there is room. Who does not wait, as [`check`](Self::check), does not queue
    /// either, and may take what others wait for: a key that background jobs wait for is best left to them.
    ///
    /// If there will be no room within `max`, so far as the store knows, the answer is a denial at once, and if others are
    /// still before it then, a denial after `max`; a denial takes nothing. It may also be dropped at any time: what it has
    /// taken then is given back, if the store answers in time. While it is neither polled nor dropped, those behind it wait as well.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time, which is the guard's deadline for each question.
    ///
    /// # Panics
    ///
    /// Where there is no Tokio runtime with its timer enabled.
    pub async fn check_or_wait(&self, max: Duration) -> Result<Decision, Unavailable> {
        if self.is_in_shadow() {
            // There is nothing to wait for.
            return self.check().await;
        }
        // What is tried sees it once, however often it is asked for.
        let _shadows = self.shadow_checks(Operation::Check).map(ShadowChecks::start);
        self.seen(self.checked_or_waited(max), |decision| decision).await
    }

    async fn checked_or_waited(&self, max: Duration) -> Result<Decision, Unavailable> {
        let queues = &self.guard().shared.queues;
        let ids: Vec<_> = self.limits().map(|it| QueueId::of(it.policy, &it.key)).collect();
        // Of which something is asked.
        let asked: Vec<_> =
            self.limits().zip(&ids).filter(|(it, _)| it.cost > 0).map(|(_, id)| id).collect();
        let until = Instant::now() + max.min(LONGEST);
        // One at a time is held, so no two wait for each other; and each once, so that it comes to an end.
        let mut turn: Option<QueueGuard<'_>> = None;
        let mut had = Vec::new();
        loop {
            let others_wait_for =
                asked.iter().copied().find(|id| !had.contains(*id) && queues.has(id));
            let decision = match others_wait_for {
                None => self.check_cancel_safe().await?,
                Some(_) => self.denied_by_others().await?,
            };
            if decision.is_allowed() {
                return Ok(decision);
            }
            // A cost that never has room is not waited for.
            let Some(wait) = decision.retry_after() else { return Ok(decision) };
            let then = Instant::now() + wait.clamp(SHORTEST, LONGEST);
            if then > until {
                return Ok(decision);
            }
            let wanted = match others_wait_for {
                Some(id) if wait.is_zero() => id,
                _ => &ids[self.limit_of(&decision)],
            };
            if turn.as_ref().is_some_and(|turn| turn.id() != wanted) {
                // Others need not wait for a key that is not waited for here.
                turn = None;
            }
            if had.contains(wanted) {
                sleep_until(then).await;
                continue;
            }
            match timeout_at(until, queues.turn(wanted.clone())).await {
                Ok(its_turn) => turn = Some(its_turn),
                // What there may be room for is for those who came before.
                Err(_) => return self.denied_by_others().await,
            }
            had.push(wanted.clone());
        }
    }

    /// A denial, though there may be room, which is for others.
    async fn denied_by_others(&self) -> Result<Decision, Unavailable> {
        let peek = self.peek().await;
        // It stands for a check.
        peek.map(Decision::denied)
            .inspect_err(|unavailable| self.guard().record_failure(unavailable))
    }

    /// The place of the limit that a denial has to wait for longest.
    fn limit_of(&self, decision: &Decision) -> usize {
        self.charges(Operation::Peek)
            .get(decision.tightest_index())
            .map_or(0, |charge| charge.limit)
    }

    /// A check that has taken nothing if it is dropped before it has answered.
    async fn check_cancel_safe(&self) -> Result<Decision, Unavailable> {
        let charges = self.charges(Operation::Check);
        let list: Vec<BucketRequest<'_>> = charges.iter().map(|it| it.charge).collect();
        // What is answered at once can't be dropped before, and what is answered later has not begun.
        if !self.guard().is_closed()
            && let StoreFuture::Ready(Ok(verdict)) =
                self.guard().shared.store.apply(Operation::Check, &list)
            && verdict.levels().len() == list.len()
        {
            return Ok(self.decision(&charges, &verdict));
        }
        // The answer is waited for by a task that outlives the question.
        let guard = self.guard().clone();
        let limits: Vec<(Policy, Key, u32)> =
            self.limits().map(|it| (it.policy.clone(), it.key, it.cost)).collect();
        let (answer, answers) = oneshot::channel();
        let mut pending = Pending { answers, runtime: Handle::current() };
        let task = tokio::spawn(in_check_span(async move {
            let request = limits.iter().fold(Request::new(&guard), |all, (policy, key, cost)| {
                all.and_hashed(policy, *key, *cost)
            });
            let reservation = request.try_to_reserve().await;
            if let Err(Ok(unasked)) = answer.send(reservation) {
                let _ = unasked.refund().await;
            }
        }));
        if let Ok(answer) = (&mut pending.answers).await {
            return answer.map(Reservation::into_decision);
        }
        match task.await.map_err(JoinError::try_into_panic) {
            // A store that panics does so here as it does in a check.
            Err(Ok(panic)) => resume_unwind(panic),
            // Its runtime is shutting down.
            _ => {
                let cause = StoreError::Disconnected;
                let unavailable = self.guard().unavailable(cause, self.on_error(), &list);
                self.guard().record_failure(&unavailable);
                Err(unavailable)
            }
        }
    }
}

/// An answer that is waited for.
struct Pending {
    answers: oneshot::Receiver<Result<Reservation, Unavailable>>,
    runtime: Handle,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.answers.close();
        // It came, and nobody has heard it.
        if let Ok(Ok(reservation)) = self.answers.try_recv() {
            self.runtime.spawn(reservation.refund());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RateGuard;

    #[tokio::test(start_paused = true)]
    async fn a_queue_goes_with_the_last_who_waits() {
        let guard = RateGuard::in_memory();
        let policy = Policy::new("jobs", "1/hour").unwrap();
        let key = Key::global();
        let second = Duration::from_secs(1);
        assert!(guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        assert!(!guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        let waiting = guard.check_or_wait(&policy, &key, 2 * 3_600 * second);
        assert!(timeout_at(Instant::now() + second, waiting).await.is_err());
        assert_eq!(guard.shared.queues.len(), 0);
    }
}
