//! Defines the names of outcomes and decision modes in metrics and traces.

use super::{mode::DecisionMode, outcome::OutcomeLabel};

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
            Self::Lease => "lease",
            Self::DenialCache => "cached_denial",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Shadow => "shadow",
        }
    }
}
