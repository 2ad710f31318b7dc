//! The outcome of a request against one limit.

use std::time::Duration;

use crate::{Decision, Unavailable};

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

/// Why a limit does not apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exemption {
    /// The limit is for other methods.
    Method,
    /// The limit's `skip` function exempts the request.
    Skip,
    /// The request looks like a CORS preflight, and the limit does not count preflights.
    Preflight,
    /// The client's address is allowed by an [`AccessList`](crate::AccessList).
    AddressAllowed,
    /// The key is allowed by an [`AccessList`](crate::AccessList).
    KeyAllowed,
    /// The limit's key function exempts the request ([`Caller::Exempt`](crate::Caller::Exempt)).
    KeyFunction,
    /// The request has no key, and the limit [skips](crate::MissingKey::Skip) such requests.
    NoKey,
    /// The client's plan is [unlimited](crate::Plan::Unlimited).
    Plan,
}

/// Why a request is rejected, independent of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectReason {
    /// The client's address is denied by an [`AccessList`](crate::AccessList).
    AddressDenied,
    /// The key is denied by an [`AccessList`](crate::AccessList).
    KeyDenied,
    /// The request has no key, and the limit [denies](crate::MissingKey::Deny) such requests.
    NoKey,
    /// The function for the key or the plan returned an error. The response to that error has this status.
    Function(u16),
    /// The guard has no policy of this name.
    NoPolicy,
    /// The guard has no plan of the chosen name.
    NoPlan,
    /// Another limit registered the same name earlier with different settings. The log message describes the conflict.
    NameConflict,
}

/// Why the outcome of a request cannot be determined.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownReason {
    /// The description of the request lacks these parts of the key.
    KeyParts(Vec<String>),
    /// The limit's functions use `Self` or a type parameter of the handler, so the functions can run only in the handler.
    InHandler,
    /// No worker runs the middleware any more.
    NotRunning,
    /// A function of the limit panicked.
    Panicked,
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

impl Exemption {
    /// Returns a stable name for programs, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Skip => "skip",
            Self::Preflight => "preflight",
            Self::AddressAllowed => "address_allowed",
            Self::KeyAllowed => "key_allowed",
            Self::KeyFunction => "key_function",
            Self::NoKey => "no_key",
            Self::Plan => "plan",
        }
    }
}

impl RejectReason {
    /// Returns a stable name for programs, in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressDenied => "address_denied",
            Self::KeyDenied => "key_denied",
            Self::NoKey => "no_key",
            Self::Function(_) => "function",
            Self::NoPolicy => "no_policy",
            Self::NoPlan => "no_plan",
            Self::NameConflict => "name_conflict",
        }
    }
}

impl UnknownReason {
    /// Returns a stable name for programs, in snake case.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::KeyParts(_) => "key_parts",
            Self::InHandler => "in_handler",
            Self::NotRunning => "not_running",
            Self::Panicked => "panicked",
        }
    }
}
