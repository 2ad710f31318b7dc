//! The way to the store: a bound, a circuit breaker, a deadline, and what comes of no answer.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use super::{
    RateGuard, Shared, Unavailable,
    apart::{are_of_several_keys, one_after_the_other},
    breaker::is_of_the_question,
};
use crate::{
    OnError, StoreError,
    store::{Answer, Charge, Operation, Verdict},
};

impl RateGuard {
    /// Asks the store, for no longer than the deadline.
    pub(super) async fn apply(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
        on_error: impl Fn() -> OnError,
    ) -> Result<Verdict, Unavailable> {
        let answer = match operation {
            Operation::Charge => self.charge(charges).await,
            _ => self.ask(operation, charges, self.shared.deadline).await,
        };
        let outage = &self.shared.outage;
        match answer {
            Ok(verdict) => {
                outage.answered();
                Ok(verdict)
            }
            Err(cause) => {
                if !is_of_the_question(cause) {
                    outage.unanswered();
                }
                Err(match operation {
                    Operation::Check => self.unavailable(cause, on_error()),
                    // No request passes or is refused by it.
                    _ => Unavailable::new(cause, self.on_error_now(on_error())),
                })
            }
        }
    }

    /// A check was left unanswered.
    pub(super) fn unavailable(&self, cause: StoreError, on_error: OnError) -> Unavailable {
        let on_error = self.on_error_now(on_error);
        self.shared.outage.record(cause, on_error);
        Unavailable::new(cause, on_error)
    }

    /// What happens without an answer, for as long as there has been none.
    fn on_error_now(&self, on_error: OnError) -> OnError {
        let is_over = |grace| self.shared.outage.lasts().is_some_and(|lasts| lasts > grace);
        if self.shared.closed_after.is_some_and(is_over) { OnError::Closed } else { on_error }
    }

    pub(super) async fn ask(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let Shared { store, is_apart, .. } = &*self.shared;
        let may_be_apart = charges.len() > 1 && are_of_several_keys(charges);
        if !(may_be_apart && is_apart.load(Relaxed)) {
            let answer = match store.apply(operation, charges) {
                Answer::Now(answer) => answer,
                Answer::Later(answer) => {
                    self.in_time(answer, deadline, &AtomicBool::new(false)).await
                }
            };
            match answer {
                Err(StoreError::Apart) if may_be_apart => is_apart.store(true, Relaxed),
                answer => return whole(answer, charges),
            }
        }
        let answered = AtomicBool::new(false);
        self.in_time(
            one_after_the_other(&**store, operation, charges, &answered),
            deadline,
            &answered,
        )
        .await
    }

    async fn in_time(
        &self,
        answer: impl Future<Output = Result<Verdict, StoreError>>,
        deadline: Duration,
        answered: &AtomicBool,
    ) -> Result<Verdict, StoreError> {
        let full = self.shared.deadline;
        let entered = self.shared.breaker.enter(full)?;
        let _place = self.shared.in_flight.enter()?;
        let answer = tokio::time::timeout(deadline, answer).await.unwrap_or_else(|_| {
            self.shared.store.missed_deadline();
            Err(StoreError::Timeout)
        });
        // Who had less time, or another question after one that was answered, may have been too late for a store that is
        // well.
        let is_hasty = deadline < full || answered.load(Relaxed);
        if !(is_hasty && matches!(answer, Err(StoreError::Timeout))) {
            entered.ended(&answer);
        }
        answer
    }
}

/// The answer, if it has a level for each charge.
pub(super) fn whole(
    answer: Result<Verdict, StoreError>,
    charges: &[Charge<'_>],
) -> Result<Verdict, StoreError> {
    answer.and_then(|verdict| {
        let is_whole = verdict.levels().len() == charges.len();
        if is_whole { Ok(verdict) } else { Err(StoreError::Unintelligible) }
    })
}
