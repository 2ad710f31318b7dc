//! The way to the store of what is asked in shadow. It harms nobody who asks in earnest.
//!
//! It has a bound and a circuit breaker of its own, so that it takes nobody's place, and so that what goes wrong with it
//! keeps nobody else from the store. It keeps away where the others are kept away, too.

use super::{super::asking::whole, report::Report};
use crate::{
    RateGuard, StoreError,
    guard::{Shared, in_flight::InFlight, remembered::Recalled, servers::Servers},
    store::{Answer, Charge, Operation, Verdict},
};

/// What a guard has for it.
pub(in crate::guard) struct ShadowAsking {
    pub(super) report: Report,
    servers: Servers,
    in_flight: InFlight,
}

impl ShadowAsking {
    pub(in crate::guard) fn new(max_in_flight: usize) -> Self {
        Self {
            report: Report::default(),
            servers: Servers::new(),
            in_flight: InFlight::new(max_in_flight),
        }
    }
}

impl RateGuard {
    /// Asks for charges of one key, for no longer than the deadline.
    pub(super) async fn ask_in_shadow(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let Shared { store, servers, shadow, remembered, deadline, .. } = &*self.shared;
        if self.is_closed() {
            return Err(StoreError::Closed);
        }
        let question = match remembered.recall(operation, charges) {
            Recalled::Denial(denial) => return Ok(denial),
            Recalled::Nothing(question) => question,
        };
        let change = remembered.change(operation, charges);
        let number = store.server(charges);
        let answer = match store.apply_within(*deadline, operation, charges) {
            Answer::Now(answer) => whole(answer, charges),
            Answer::Later(answer) => {
                if let Some(cause) = servers.of(number).breaker.open() {
                    return Err(cause);
                }
                let entered = shadow.servers.of(number).breaker.enter(*deadline)?;
                let _place = shadow.in_flight.enter()?;
                let answer = tokio::time::timeout(*deadline, answer).await;
                let answer = answer.unwrap_or_else(|_| Err(store.timeout_cause(charges)));
                // Our own congestion says nothing about the store.
                if answer != Err(StoreError::Overloaded) {
                    entered.ended(&answer);
                }
                let answer = whole(answer, charges);
                if let Some(change) = change {
                    change.ended(&answer);
                }
                answer
            }
        };
        if let (Some(question), Ok(verdict)) = (question, &answer) {
            question.answered(verdict);
        }
        answer
    }
}
