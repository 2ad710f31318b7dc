//! The outcome of a request against one limit.

use std::time::Duration;

use crate::{
    Decision, Unavailable,
    not_checked::{Exemption, NotChecked, RejectReason},
};

/// The outcome of a request against one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store has decided, but counted nothing.
    Decided(Decision),
    /// The limit does not apply.
    Exempt(Exemption),
    /// The request is rejected, independent of the counts.
    Rejected(RejectReason),
    /// The store did not answer, so there is no decision.
    Unavailable(Unavailable),
    /// The outcome cannot be determined.
    Unknown(UnknownReason),
}

/// Why the outcome of a request cannot be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The limit's functions use `Self` or a type parameter of the handler, so the functions can run only in the handler.
    InHandler,
    /// No worker runs the middleware any more.
    NotRunning,
    /// A function of the limit panicked.
    Panicked,
}

impl From<NotChecked> for Outcome {
    fn from(not_checked: NotChecked) -> Self {
        match not_checked {
            NotChecked::Exempt(exemption) => Self::Exempt(exemption),
            NotChecked::Forbidden(reason) | NotChecked::Misconfigured(reason) => {
                Self::Rejected(reason)
            }
            NotChecked::Failed(error) => {
                Self::Rejected(RejectReason::Function(error.error_response().status().as_u16()))
            }
        }
    }
}

impl Outcome {
    /// Returns whether the request would pass this limit. `None` if the outcome is unknown.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        match self {
            Self::Decided(decision) => Some(decision.is_allowed()),
            Self::Exempt(_) => Some(true),
            Self::Rejected(_) => Some(false),
            Self::Unavailable(unavailable) => Some(unavailable.lets_pass()),
            Self::Unknown(_) => None,
        }
    }

    /// Returns how long the request has to wait, if it is denied and waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decision()?.retry_after()
    }

    /// Returns the decision of the store, if there is one.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            _ => None,
        }
    }
}

impl UnknownReason {
    /// Returns a stable name for programs, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InHandler => "in_handler",
            Self::NotRunning => "not_running",
            Self::Panicked => "panicked",
        }
    }
}
