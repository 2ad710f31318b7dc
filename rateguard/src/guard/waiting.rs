//! Waiting for room instead of being denied.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{self, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

use super::{RateGuard, Request, Reservation, Unavailable};
use crate::{
    Decision, Key, Policy,
    store::{Answer, Charge, Operation},
};

/// No wait is longer: twice the longest window.
const LONGEST: Duration = Duration::from_secs(2 * 365 * 86_400);

impl Request<'_> {
    /// Takes what is asked for as soon as there is room for it, if that is within `max`.
    ///
    /// Those of one guard who wait for one key are served in the order in which they came, also if the first of them asks
    /// for much; the others of its process wait behind it. Waiting guards of different processes compete, as each asks
    /// at the moment at which there is room. Who does not wait, as [`check`](Self::check), does not queue either, and
    /// may take what others wait for: a key that background jobs wait for is best left to them.
    ///
    /// If there will be no room within `max`, so far as the store knows, the answer is a denial at once, and if others are
    /// still before it then, a denial after `max`; a denial takes nothing. It may also be dropped at any time: what it has
    /// taken then is given back.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time, which is the guard's deadline for each question.
    ///
    /// # Panics
    ///
    /// Where there is no Tokio runtime with its timer enabled.
    pub async fn check_or_wait(&self, max: Duration) -> Result<Decision, Unavailable> {
        let until = Instant::now() + max.min(LONGEST);
        let mut queues = Vec::new();
        let mut ids: Vec<_> = self.limits().map(|it| QueueId::of(it.policy, it.key)).collect();
        // In an order, so that no two wait for each other.
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            queues.push(self.guard().shared.queues.join(id));
        }
        let mut turns = Vec::new();
        for queue in &queues {
            match timeout_at(until, queue.queue.lock()).await {
                Ok(turn) => turns.push(turn),
                // What there may be room for is for those who came before.
                Err(_) => return Ok(self.peek().await?.denied()),
            }
        }
        loop {
            let decision = self.check_or_give_back().await?;
            let Some(wait) = decision.retry_after() else { return Ok(decision) };
            let then = Instant::now() + wait.min(LONGEST);
            if then > until {
                return Ok(decision);
            }
            sleep_until(then).await;
        }
    }

    /// A check that has taken nothing if it is dropped before it has answered.
    async fn check_or_give_back(&self) -> Result<Decision, Unavailable> {
        let charges = self.charges();
        let list: Vec<Charge<'_>> = charges.iter().map(|it| it.charge).collect();
        // What is answered at once can't be dropped before, and what is answered later has not begun.
        if let Answer::Now(answer) = self.guard().shared.store.apply(Operation::Check, &list)
            && let Ok(verdict) = answer
        {
            return Ok(self.decision(&charges, &verdict));
        }
        // The answer is waited for by a task that outlives the question.
        let guard = self.guard().clone();
        let limits: Vec<(Policy, Key, u32)> =
            self.limits().map(|it| (it.policy.clone(), *it.key, it.cost)).collect();
        let (answer, answers) = oneshot::channel();
        let mut pending = Pending { answers };
        tokio::spawn(async move {
            let mut limits = limits.iter();
            let Some((policy, key, cost)) = limits.next() else { return };
            let first = guard.request(policy, key).cost(*cost);
            let request =
                limits.fold(first, |all, (policy, key, cost)| all.and(policy, key).cost(*cost));
            let reservation = request.reserve().await;
            if let Err(Ok(unasked)) = answer.send(reservation) {
                let _ = unasked.refund().await;
            }
        });
        match (&mut pending.answers).await {
            Ok(answer) => answer.map(Reservation::into_decision),
            // The task ends without an answer only with its runtime, and this with it.
            Err(_) => std::future::pending().await,
        }
    }
}

/// An answer that is waited for.
struct Pending {
    answers: oneshot::Receiver<Result<Reservation, Unavailable>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.answers.close();
        // It came, and nobody has heard it.
        if let (Ok(Ok(reservation)), Ok(runtime)) = (self.answers.try_recv(), Handle::try_current())
        {
            runtime.spawn(reservation.refund());
        }
    }
}

/// Who waits for which key in this process.
#[derive(Default)]
pub(super) struct Queues {
    queues: Mutex<HashMap<QueueId, Arc<sync::Mutex<()>>>>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct QueueId {
    policy: Arc<str>,
    digest: [u8; 16],
}

impl QueueId {
    fn of(policy: &Policy, key: &Key) -> Self {
        Self { policy: Arc::clone(policy.shared_name()), digest: *key.digest() }
    }
}

impl Queues {
    fn join(&self, id: QueueId) -> Place<'_> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = Arc::clone(queues.entry(id.clone()).or_default());
        Place { queues: self, id, queue }
    }
}

/// A place in a queue. With the last one, the queue goes.
struct Place<'a> {
    queues: &'a Queues,
    id: QueueId,
    /// A mutex of Tokio's is fair: whoever asks first has it first.
    queue: Arc<sync::Mutex<()>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.queues.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // This one, and the one in the map.
        if Arc::strong_count(&self.queue) <= 2 {
            queues.remove(&self.id);
        }
    }
}

impl RateGuard {
    /// How many queues there are.
    #[cfg(test)]
    fn queues(&self) -> usize {
        self.shared.queues.queues.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(guard.queues(), 0);
    }
}
