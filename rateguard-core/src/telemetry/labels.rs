//! The names of outcomes, decision modes, store errors and operations in metrics and traces.

use super::mode::DecisionMode;
#[cfg(feature = "metrics")]
use crate::store::Operation;
use crate::{Decision, StoreError, Unavailable};

/// The outcome of a check.
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
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Banned, Self::Rejected];

    pub(crate) fn of(decision: &Decision) -> Self {
        match (decision.is_allowed(), decision.banned_for()) {
            (true, _) => Self::Allowed,
            (false, None) => Self::Denied,
            (false, Some(_)) => Self::Banned,
        }
    }

    /// Returns the labels of a check without a decision.
    pub(crate) fn of_unavailable(unavailable: &Unavailable) -> (Self, DecisionMode) {
        if unavailable.lets_pass() {
            (Self::Allowed, DecisionMode::Open)
        } else {
            (Self::Rejected, DecisionMode::Closed)
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Rejected => "rejected",
        }
    }
}

impl DecisionMode {
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 7] = [
        Self::Store,
        Self::Overflow,
        Self::DenialCache,
        Self::Local,
        Self::Open,
        Self::Closed,
        Self::Shadow,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Overflow => "overflow",
            Self::DenialCache => "cached_denial",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
            #[cfg(feature = "metrics")]
            Self::Shadow => "shadow",
        }
    }
}

impl StoreError {
    /// Returns the name of the variant in metrics, traces and the JSON of an HTTP adapter, such as `cross_slot`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Disconnected(_) => "disconnected",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
            Self::OutOfMemory => "out_of_memory",
            Self::Cluster => "cluster",
            Self::CrossSlot => "cross_slot",
            Self::Overloaded => "overloaded",
            Self::Throttled => "throttled",
            Self::InvalidReply => "invalid_reply",
            Self::NoPrimary => "no_primary",
            Self::Closed => "closed",
            Self::Other(_) => "other",
        }
    }
}

#[cfg(feature = "metrics")]
impl Operation {
    pub(crate) const ALL: [Self; 5] =
        [Self::Check, Self::Peek, Self::Debit, Self::Refund, Self::Reset];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Peek => "peek",
            Self::Debit => "debit",
            Self::Refund => "refund",
            Self::Reset => "reset",
        }
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use super::*;

    #[test]
    fn index_in_all_is_the_discriminant() {
        assert!(OutcomeLabel::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
        assert!(DecisionMode::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
        assert!(StoreError::ALL.into_iter().enumerate().all(|(index, it)| it.index() == index));
        assert!(Operation::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
    }
}
