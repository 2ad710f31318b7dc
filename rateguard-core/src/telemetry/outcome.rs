//! Defines the outcome of a check.

use super::mode::DecisionMode;
use crate::{Decision, Unavailable};

/// The outcome of a check, as a label of metrics and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutcomeLabel {
    /// The request was admitted, or passed without a decision.
    Allowed,
    /// The request was denied, because a quota had no room.
    Denied,
    /// The request was denied, because the key is banned.
    Banned,
    /// The request was rejected without a decision.
    Rejected,
}

impl OutcomeLabel {
    pub(crate) fn of(decision: &Decision) -> Self {
        match (decision.is_allowed(), decision.banned_for()) {
            (true, _) => Self::Allowed,
            (false, None) => Self::Denied,
            (false, Some(_)) => Self::Banned,
        }
    }

    /// Returns the outcome and the mode of a check that ended without a decision.
    pub(crate) fn of_unavailable(unavailable: &Unavailable) -> (Self, DecisionMode) {
        if unavailable.lets_pass() {
            (Self::Allowed, DecisionMode::Open)
        } else {
            (Self::Rejected, DecisionMode::Closed)
        }
    }
}
