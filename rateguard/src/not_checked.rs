//! Why a limit does not check a request.

use actix_web::Error;

use crate::response::Rejection;

/// Why a limit does not check a request. Enforcement and explanations get the same value.
pub(crate) enum NotChecked {
    /// The limit does not apply, so the request is admitted.
    Exempt(Exemption),
    /// The limit does not admit the client.
    Forbidden(RejectReason),
    /// The application is misconfigured.
    Misconfigured(RejectReason),
    /// A function of the limit returned an error, which becomes the response.
    Failed(Error),
}

impl NotChecked {
    /// Admits the request if it is exempt.
    ///
    /// # Errors
    ///
    /// The rejection, if the request is not exempt.
    pub(crate) fn admit_if_exempt(self) -> Result<(), Rejection> {
        match self {
            Self::Exempt(_) => Ok(()),
            Self::Forbidden(_) => Err(Rejection::Forbidden),
            Self::Misconfigured(_) => Err(Rejection::Misconfigured),
            Self::Failed(error) => Err(Rejection::Error(error)),
        }
    }
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
