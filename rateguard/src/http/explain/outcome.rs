//! What comes of a request under one limit.

use std::time::Duration;

use crate::{Decision, Unavailable};

/// What would come of a request under one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// What the store said, which took nothing.
    Decided(Decision),
    /// The limit does not apply.
    Exempt(Exemption),
    /// It is refused whatever has been counted.
    Refused(RefusedBy),
    /// The store did not answer, and nothing is decided.
    Unavailable(Unavailable),
    /// It cannot be told.
    Unknown(WhyUnknown),
}

/// Why a limit does not apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exemption {
    /// It is for other methods.
    Method,
    /// Its `skip` says so.
    Skip,
    /// It looks like a CORS preflight, and those do not count.
    Preflight,
    /// The client's address is allowed by an [`AccessList`](crate::AccessList).
    AddressAllowed,
    /// The key is allowed by an [`AccessList`](crate::AccessList).
    KeyAllowed,
    /// Its key function says so ([`Caller::Exempt`](crate::Caller::Exempt)).
    KeyFunction,
    /// There is no key, and such requests are [skipped](crate::MissingKey::Skip).
    NoKey,
    /// The plan is [unlimited](crate::Plan::Unlimited).
    Plan,
}

/// Why a request is refused whatever has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedBy {
    /// The client's address is denied by an [`AccessList`](crate::AccessList).
    AddressDenied,
    /// The key is denied by an [`AccessList`](crate::AccessList).
    KeyDenied,
    /// There is no key, and such requests are [denied](crate::MissingKey::Deny).
    NoKey,
    /// A function for its key or plan fails; its error answers with this status.
    Function(u16),
    /// The guard has no policy of this name.
    NoPolicy,
    /// The guard has no plan of this name.
    NoPlan,
    /// Another limit has its name and other quotas, and was there before; the log says which.
    NameConflict,
}

/// Why it cannot be told what would come of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyUnknown {
    /// These parts of the key are not known of a described request.
    KeyParts(Vec<String>),
    /// What the limit's functions say is known only where its handler is, which has type parameters.
    InHandler,
    /// No worker runs this middleware any more.
    NotRunning,
    /// A function of the limit panicked.
    Panicked,
}

impl Outcome {
    /// Whether the request would pass this limit; `None` if that cannot be told.
    #[must_use]
    pub fn passes(&self) -> Option<bool> {
        match self {
            Self::Decided(decision) => Some(decision.is_allowed()),
            Self::Exempt(_) => Some(true),
            Self::Refused(_) => Some(false),
            Self::Unavailable(unavailable) => Some(unavailable.lets_pass()),
            Self::Unknown(_) => None,
        }
    }

    /// How long the request would have to wait, if it is denied and waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decision()?.retry_after()
    }

    /// What the store said, if it was asked and answered.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            _ => None,
        }
    }
}

impl Exemption {
    /// A word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
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

impl RefusedBy {
    /// A word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
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

impl WhyUnknown {
    /// A word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::KeyParts(_) => "key_parts",
            Self::InHandler => "in_handler",
            Self::NotRunning => "not_running",
            Self::Panicked => "panicked",
        }
    }
}
