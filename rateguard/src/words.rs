//! What metrics and traces call what came of a check, how, and why not.

#[cfg(feature = "metrics")]
use crate::store::Operation;
use crate::{Decision, StoreError, Unavailable, mode::Mode};

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was admitted, or let pass undecided.
    Allowed,
    /// A quota had no room.
    Denied,
    /// So it was of somebody who is banned.
    Banned,
    /// It was refused undecided.
    Refused,
}

impl Outcome {
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Banned, Self::Refused];

    pub(crate) fn of(decision: &Decision) -> Self {
        match (decision.is_allowed(), decision.banned_for()) {
            (true, _) => Self::Allowed,
            (false, None) => Self::Denied,
            (false, Some(_)) => Self::Banned,
        }
    }

    /// And how.
    pub(crate) fn of_none(unavailable: &Unavailable) -> (Self, Mode) {
        if unavailable.lets_pass() {
            (Self::Allowed, Mode::Open)
        } else {
            (Self::Refused, Mode::Closed)
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Refused => "refused",
        }
    }
}

impl Mode {
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 7] = [
        Self::Store,
        Self::Overflow,
        Self::Remembered,
        Self::Local,
        Self::Open,
        Self::Closed,
        Self::Shadow,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Overflow => "overflow",
            Self::Remembered => "remembered",
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
            #[cfg(feature = "metrics")]
            Self::Shadow => "shadow",
        }
    }
}

impl StoreError {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Disconnected => "disconnected",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
            Self::OutOfMemory => "out_of_memory",
            Self::Cluster => "cluster",
            Self::Apart => "apart",
            Self::Overloaded => "overloaded",
            Self::Throttled => "throttled",
            Self::Unintelligible => "unintelligible",
            Self::NoPrimary => "no_primary",
            Self::Closed => "closed",
        }
    }
}

#[cfg(feature = "metrics")]
impl Operation {
    pub(crate) const ALL: [Self; 5] =
        [Self::Check, Self::Peek, Self::Charge, Self::Refund, Self::Reset];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Peek => "peek",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Reset => "reset",
        }
    }
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_by_its_number_has_its_place() {
        assert!(Outcome::ALL.into_iter().enumerate().all(|(place, it)| it as usize == place));
        assert!(Mode::ALL.into_iter().enumerate().all(|(place, it)| it as usize == place));
    }
}
