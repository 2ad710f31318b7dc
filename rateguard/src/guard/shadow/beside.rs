//! What is tried is asked beside what is enforced, and nobody waits for it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use futures_util::{FutureExt, future::join_all};
use smallvec::SmallVec;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{super::Unavailable, told::Outcome, trial::Side};
use crate::{
    Algorithm, Decision, Key, OnError, Policy, RateGuard, StoreError,
    standing::Standing,
    store::{Bucket, Charge, Operation, Receipt, Verdict},
};

/// What is asked in shadow of one limit of a request, in one step.
pub(super) struct Question {
    pub(super) policy: Policy,
    pub(super) side: Side,
    pub(super) key: Key,
    pub(super) cost: u32,
    /// The place of the limit in the request.
    pub(super) limit: usize,
    /// Whether it is reported: this side is what is tried, and not the one that would be enforced otherwise.
    pub(super) is_told: bool,
}

/// How the store has answered.
struct Answered {
    question: Question,
    answer: Result<Verdict, StoreError>,
}

/// All that a request asks in shadow, while it is asked.
pub(in crate::guard) struct Asking {
    guard: RateGuard,
    limits: Limits,
    answers: Answers,
}

/// The places of the limits that are asked for.
type Limits = SmallVec<[usize; 1]>;

type Answers = Pin<Box<dyn Future<Output = Vec<Answered>> + Send>>;

/// What was asked in shadow, to be given back or corrected.
pub(crate) struct Shadows {
    guard: RateGuard,
    limits: Limits,
    known: Known,
}

enum Known {
    Answered(Vec<Answered>),
    /// A task waits for the answers.
    Awaited(JoinHandle<Vec<Answered>>),
    /// There is no runtime that could wait.
    Nothing,
}

impl Question {
    async fn ask(self, guard: &RateGuard, operation: Operation) -> Answered {
        let answer = guard.ask_in_shadow(operation, &self.charges(operation, self.cost)).await;
        if self.is_told {
            let outcome = match &answer {
                Ok(verdict) if verdict.is_allowed() => Outcome::Allowed,
                Ok(_) => Outcome::Denied,
                Err(_) => Outcome::Undecided,
            };
            guard.told_in_shadow(&self.policy, outcome);
        }
        let answered = Answered { question: self, answer };
        // Either side of a roll-out: the quota says which.
        guard.seen_in_shadow(operation == Operation::Check, || answered.decision().ok());
        answered
    }

    fn charges(&self, operation: Operation, cost: u32) -> SmallVec<[Charge<'_>; 1]> {
        let (name, quotas) = self.policy.on_side(self.side);
        let charge = |(place, quota): (usize, &crate::Quota)| {
            let bucket = Bucket::new(name.as_str(), place, &self.key);
            // A log takes no more in one step, and here there are no further ones.
            let is_cut =
                operation == Operation::Charge && quota.algorithm() == Algorithm::SlidingWindow;
            let cost = if is_cut { cost.min(quota.max_cost()) } else { cost };
            Charge { is_tried: true, ..Charge::new(bucket, *quota, cost) }
        };
        quotas.iter().enumerate().map(charge).collect()
    }
}

impl Answered {
    /// A decision that refuses nobody.
    fn decision(&self) -> Result<Decision, StoreError> {
        let verdict = self.answer.as_ref().map_err(|cause| *cause)?;
        let name = self.question.policy.shared_name();
        let charges = self.question.charges(Operation::Peek, self.question.cost);
        let standings = charges.iter().zip(verdict.levels());
        let standings =
            standings.map(|(charge, level)| Standing::new(name.clone(), charge, level)).collect();
        Ok(Decision::new(verdict.is_allowed(), standings).in_shadow())
    }

    /// Gives back or takes so much, if anything was taken.
    async fn correct(&self, guard: &RateGuard, back: u32, more: u32) {
        let Ok(verdict) = &self.answer else { return };
        if !verdict.is_allowed() {
            return;
        }
        for (operation, cost) in [(Operation::Refund, back), (Operation::Charge, more)] {
            if cost > 0 {
                let mut charges = self.question.charges(operation, cost);
                let receipts: Vec<Receipt> = verdict.receipts().collect();
                for (charge, receipt) in charges.iter_mut().zip(receipts) {
                    charge.receipt = receipt;
                }
                // If it fails, what is tried has counted too much or too little.
                let _ = guard.ask_in_shadow(operation, &charges).await;
            }
        }
    }
}

impl Asking {
    pub(super) fn new(guard: &RateGuard, questions: Vec<Question>, operation: Operation) -> Self {
        let (guard, asked_by) = (guard.clone(), guard.clone());
        let limits = questions.iter().map(|it| it.limit).collect();
        let answers = Box::pin(async move {
            let ask = |question: Question| question.ask(&asked_by, operation);
            join_all(questions.into_iter().map(ask)).await
        });
        Self { guard, limits, answers }
    }

    /// The decision, where nothing is enforced.
    pub(in crate::guard) async fn decision(self) -> Result<(Decision, Shadows), Unavailable> {
        let answered = self.answers.await;
        let mut cause = None;
        let decisions = answered.iter().filter_map(|it| match it.decision() {
            Ok(decision) => Some(decision),
            Err(error) => {
                cause.get_or_insert(error);
                None
            }
        });
        let decision = decisions.reduce(Decision::and);
        let shadows =
            Shadows { guard: self.guard, limits: self.limits, known: Known::Answered(answered) };
        match decision {
            Some(decision) => Ok((decision, shadows)),
            None => {
                let cause = cause.unwrap_or(StoreError::Unreachable);
                Err(Unavailable::new(cause, OnError::Open))
            }
        }
    }

    /// Asks while this is under way, and leaves the rest to a task.
    ///
    /// What is enforced is asked first.
    pub(in crate::guard) async fn beside<T>(
        mut self,
        enforced: impl Future<Output = T>,
    ) -> (T, Shadows) {
        let mut enforced = pin!(enforced);
        let mut answered = None;
        let answer = poll_fn(|context| {
            let answer = enforced.as_mut().poll(context);
            if answered.is_none()
                && let Poll::Ready(answers) = self.answers.as_mut().poll(context)
            {
                answered = Some(answers);
            }
            answer
        })
        .await;
        (answer, self.left(answered))
    }

    /// Asks, and waits for nothing.
    pub(in crate::guard) fn at_once(mut self) -> Shadows {
        let answered = (&mut self.answers).now_or_never();
        self.left(answered)
    }

    fn left(self, answered: Option<Vec<Answered>>) -> Shadows {
        let Self { guard, limits, answers } = self;
        let known = match (answered, Handle::try_current()) {
            (Some(answered), _) => Known::Answered(answered),
            (None, Ok(runtime)) => Known::Awaited(runtime.spawn(answers)),
            (None, Err(_)) => Known::Nothing,
        };
        Shadows { guard, limits, known }
    }
}

impl Shadows {
    /// Gives back what was taken under the limits of these places.
    pub(crate) fn give_back(self, gives_back: impl Fn(usize) -> bool) {
        self.correct(|limit| (if gives_back(limit) { u32::MAX } else { 0 }, 0));
    }

    /// Corrects what was taken under the limit of this place, which was asked for so much, to a cost.
    pub(in crate::guard) fn settle(self, last: usize, asked: u32, cost: u32) {
        self.correct(|limit| match limit == last {
            true => (asked.saturating_sub(cost), cost.saturating_sub(asked)),
            false => (0, 0),
        });
    }

    fn correct(self, by: impl Fn(usize) -> (u32, u32)) {
        let Self { guard, limits, known } = self;
        let corrections: Vec<_> = limits.iter().map(|limit| by(*limit)).collect();
        if corrections.iter().all(|it| *it == (0, 0)) {
            return;
        }
        let mut corrected = Box::pin(async move {
            let answered = match known {
                Known::Answered(answered) => answered,
                Known::Awaited(task) => task.await.unwrap_or_default(),
                Known::Nothing => return,
            };
            let correct = answered.iter().zip(corrections).map(|(answered, (back, more))| {
                answered.correct(&guard, back.min(answered.question.cost), more)
            });
            join_all(correct).await;
        });
        if (&mut corrected).now_or_never().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(corrected);
        }
    }
}
