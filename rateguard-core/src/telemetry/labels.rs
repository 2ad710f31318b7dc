//! Defines the names of outcomes, decision modes and store errors in metrics and traces.

use super::{mode::DecisionMode, outcome::OutcomeLabel};
use crate::StoreError;

impl OutcomeLabel {
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
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Overflow => "overflow",
            Self::DenialCache => "cached_denial",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Shadow => "shadow",
        }
    }
}

impl StoreError {
    /// Returns the name of the error in metrics, in traces and in the JSON of an HTTP adapter, such as
    /// `cross_slot`.
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
