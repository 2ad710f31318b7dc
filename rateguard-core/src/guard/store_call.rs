//! The way to the store: a bound, a circuit breaker, a deadline, and what comes of no answer.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    RateGuard, Shared, Unavailable, denial_cache::CacheLookup, denial_cache::have_several_keys,
    multi_key::one_after_the_other,
};
use crate::{
    OnError, StoreError,
    store::{BucketRequest, Operation, StoreFuture, Verdict},
    telemetry::mode::DecisionMode,
};

impl RateGuard {
    /// Asks the store, for no longer than the deadline.
    pub(super) async fn apply(
        &self,
        operation: Operation,
        charges: &[BucketRequest<'_>],
        on_error: impl Fn() -> OnError,
    ) -> Result<Verdict, Unavailable> {
        let question = match self.shared.remembered.recall(operation, charges) {
            CacheLookup::Denial(denial) if !self.is_closed() => {
                return Ok(denial.by(DecisionMode::DenialCache));
            }
            CacheLookup::Denial(_) => None,
            CacheLookup::Nothing(question) => question,
        };
        let answer = match operation {
            // On the heap, as it is large and rare.
            Operation::Debit => Box::pin(self.debit(charges)).await,
            _ => self.ask(operation, charges, self.shared.deadline).await,
        };
        if let Err(cause) = &answer
            && cause.is_caused_by_load()
            // The same check may have been denied while this one waited.
            && let CacheLookup::Denial(denial) = self.shared.remembered.recall(operation, charges)
        {
            return Ok(denial.by(DecisionMode::DenialCache));
        }
        if let (Some(question), Ok(verdict)) = (question, &answer) {
            question.answered(verdict);
        }
        answer.map_err(|cause| {
            if operation == Operation::Debit && cause.is_caused_by_load() {
                // At least this process knows of it.
                let _ = self.shared.local.mirror(charges);
            }
            let unavailable = self.unavailable(cause, on_error(), charges);
            // By the others, no request passes or is refused.
            if operation == Operation::Check {
                self.record_failure(&unavailable);
            }
            unavailable
        })
    }

    /// What comes of no answer.
    pub(super) fn unavailable(
        &self,
        cause: StoreError,
        on_error: OnError,
        charges: &[BucketRequest<'_>],
    ) -> Unavailable {
        let Shared { store, servers, fail_closed_after, .. } = &*self.shared;
        self.record_store_error(cause);
        if cause.is_caused_by_load() {
            return Unavailable::new(cause, OnError::Local);
        }
        let lasts = charges
            .iter()
            .filter_map(|charge| servers.of(store.server(std::slice::from_ref(charge))).lasts());
        let is_over = fail_closed_after.is_some_and(|grace| lasts.max() > Some(grace));
        Unavailable::new(cause, if is_over { OnError::Closed } else { on_error })
    }

    /// A check was left unanswered.
    pub(super) fn record_failure(&self, unavailable: &Unavailable) {
        self.shared.outage.record(unavailable.cause(), unavailable.on_error());
    }

    pub(super) async fn ask(
        &self,
        operation: Operation,
        charges: &[BucketRequest<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let is_cross_slot = &self.shared.is_cross_slot;
        let may_be_apart = charges.len() > 1 && have_several_keys(charges);
        if !(may_be_apart && is_cross_slot.load(Relaxed)) {
            match self.call_store(operation, charges, deadline).await {
                Err(StoreError::CrossSlot) if may_be_apart => is_cross_slot.store(true, Relaxed),
                answer => return answer,
            }
        }
        // On the heap, as it is large and rare.
        Box::pin(one_after_the_other(self, operation, charges, deadline)).await
    }

    /// Asks for what is done in one step.
    pub(super) async fn call_store(
        &self,
        operation: Operation,
        charges: &[BucketRequest<'_>],
        deadline: Duration,
    ) -> Result<Verdict, StoreError> {
        let Shared { store, servers, in_flight, remembered, deadline: full, .. } = &*self.shared;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let change = remembered.change(operation, charges);
        let server = servers.of(store.server(charges));
        let answer = match store.apply_with_deadline(deadline, operation, charges) {
            StoreFuture::Ready(answer) => validate_reply(answer, charges),
            StoreFuture::Pending(answer) => {
                let entered = server.breaker.enter(*full)?;
                let _place = in_flight.enter()?;
                // Whoever closes it waits for those who have a place.
                if self.is_closed() {
                    return Err(StoreError::Closed);
                }
                let answer = self.timed(operation, tokio::time::timeout(deadline, answer)).await;
                let answer = answer.unwrap_or_else(|_| Err(store.timeout_cause(charges)));
                match &answer {
                    // Our own congestion says nothing about the store.
                    Err(StoreError::Overloaded) => {}
                    // Nor does a deadline that was used up by half before: a healthy server may be too late for it.
                    Err(StoreError::Timeout) if deadline < *full / 2 => {}
                    answer => entered.record(answer),
                }
                let answer = validate_reply(answer, charges);
                // What is answered at once is never remembered: it is asked for as soon.
                if let Some(change) = change {
                    change.record(&answer);
                }
                answer
            }
        };
        server.heard(&answer);
        answer
    }
}

/// The answer, if it has a level for each charge.
pub(super) fn validate_reply(
    answer: Result<Verdict, StoreError>,
    charges: &[BucketRequest<'_>],
) -> Result<Verdict, StoreError> {
    answer.and_then(|verdict| {
        let is_whole = verdict.levels().len() == charges.len();
        if is_whole { Ok(verdict) } else { Err(StoreError::InvalidReply) }
    })
}
