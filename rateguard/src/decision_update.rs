//! Updates the decision on a request with the results of refunds and charges after the response.

use actix_rateguard_core::adapter::ThrottledLog;

use crate::{Decision, Unavailable};

/// The decision on a request. A refund or a charge after the response updates this decision.
pub(crate) struct DecisionUpdate {
    pub(crate) decision: Decision,
    pub(crate) is_changed: bool,
}

/// The log message for a refund or charge that failed after the response.
pub(crate) struct CleanupFailure {
    message: &'static str,
    log: ThrottledLog,
}

pub(crate) static REFUND_FAILURE: CleanupFailure = CleanupFailure {
    message: "failed to refund requests whose responses do not count, so these requests still count",
    log: ThrottledLog::new(),
};
pub(crate) static PENALTY_FAILURE: CleanupFailure =
    CleanupFailure { message: "failed to charge penalties", log: ThrottledLog::new() };

impl DecisionUpdate {
    /// Stores the decision that a refund or charge returned. If the refund or charge failed, logs the failure.
    pub(crate) fn apply(
        &mut self,
        result: Result<Decision, Unavailable>,
        failure: &CleanupFailure,
    ) {
        match result {
            Ok(decision) => {
                self.decision = decision;
                self.is_changed = true;
            }
            Err(unavailable) => {
                if let Some(requests) = failure.log.try_emit() {
                    log::warn!(
                        target: "rateguard",
                        "{}: {} ({requests} requests since the last message of this kind)",
                        failure.message, unavailable.cause()
                    );
                }
            }
        }
    }
}
