//! The outcome that one limit would have for a request.

use std::time::Duration;

use crate::{
    Decision, Unavailable,
    not_checked::{Exemption, NotChecked, RejectReason},
};

/// The outcome that one limit would have for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store has decided on the request, but has not counted the request.
    Decided(Decision),
    /// The limit does not apply to the request. The value is the reason.
    Exempt(Exemption),
    /// The limit rejects the request. The value is the reason, which does not depend on the counts of the limit.
    Rejected(RejectReason),
    /// The store did not answer, so the limit has no decision. The limit's failure mode determines what happens to
    /// the request.
    Unavailable(Unavailable),
    /// An explanation cannot determine the outcome. The value is the reason.
    Unknown(UnknownReason),
}

/// The reason why an explanation cannot determine the outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// A function of the limit uses `Self` or a type parameter of the handler. RateGuard can call such a function only
    /// for a real request to the handler.
    InHandler,
    /// The limit belongs to a middleware that no worker runs any more.
    NotRunning,
    /// The limit calls a function of the application, such as a key function, and this function panicked.
    Panicked,
    /// The key of the limit is in the body of the request, and an explanation does not read bodies.
    Body,
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
    /// Returns whether the request would pass this limit. The result is `None` if the outcome is unknown.
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

    /// Returns how long the client has to wait until the limit would allow the request. The result is `None` in three
    /// cases: the limit does not deny the request, the limit would deny the request however long the client waits, or
    /// the limit denies it because of requests in progress, and nobody knows when they end.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decision()?.retry_after()
    }

    /// Returns the decision of the store. The result is `None` if the store has not decided.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            _ => None,
        }
    }
}

impl UnknownReason {
    /// Returns the name of the reason in snake case. The name is stable, so a program can depend on it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InHandler => "in_handler",
            Self::NotRunning => "not_running",
            Self::Panicked => "panicked",
            Self::Body => "body",
        }
    }
}
