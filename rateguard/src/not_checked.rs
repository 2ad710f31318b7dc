//! The reasons why a limit does not check a request.

use actix_web::Error;

/// The reason why a limit does not check a request. Enforcement and explanations both use this type.
pub(crate) enum NotChecked {
    /// The limit does not apply to the request, so the limit admits the request.
    Exempt(Exemption),
    /// The limit rejects the request with 403, and does not check any counts.
    Forbidden(RejectReason),
    /// The application is misconfigured, so the limit rejects the request with 500.
    Misconfigured(RejectReason),
    /// A function of the application, such as a key function, returned an error. This error becomes the response.
    Failed(Error),
}

/// The reason why a limit does not apply to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exemption {
    /// The limit does not apply to the method of the request.
    Method,
    /// The limit's `skip` function exempts the request.
    Skip,
    /// The handler replaces the limit: the macro attribute has `exempt` or `replaces`.
    Handler,
    /// The route is in the list of the limit's [exempt routes](crate::Limit::exempt_routes).
    Route,
    /// An [`AccessList`](crate::AccessList) allows the client's address.
    AddressAllowed,
    /// An [`AccessList`](crate::AccessList) allows the key.
    KeyAllowed,
    /// The limit's key function exempts the request ([`Caller::Exempt`](crate::Caller::Exempt)).
    KeyFunction,
    /// The request has no key, and the limit [skips](crate::MissingKey::Skip) requests without a key.
    NoKey,
    /// The plan of the client is [unlimited](crate::Plan::Unlimited).
    Plan,
}

/// The reason why a limit rejects a request regardless of its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectReason {
    /// An [`AccessList`](crate::AccessList) denies the client's address. If a list denies at least one address, it also
    /// denies requests whose address is unknown.
    AddressDenied,
    /// An [`AccessList`](crate::AccessList) denies the key.
    KeyDenied,
    /// The request has no key, and the limit [denies](crate::MissingKey::Deny) requests without a key.
    NoKey,
    /// The function that reads the key or chooses the plan returned an error. The value is the status of the error's
    /// response. Only an explanation contains this reason, because for a real request, the error itself becomes the
    /// response.
    Function(u16),
    /// The guard has no policy with the name that the limit uses.
    NoPolicy,
    /// A function has chosen a plan by its name, but the guard has no plan with this name.
    NoPlan,
    /// Another limit has already registered the same name, and has different settings. The log message describes
    /// the conflict.
    NameConflict,
    /// The handler has a limit, but the application's data has no guard.
    NoGuard,
}

impl Exemption {
    /// Returns the name of the reason in snake case. The name is stable, so a program can depend on it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Skip => "skip",
            Self::Handler => "handler",
            Self::Route => "route",
            Self::AddressAllowed => "address_allowed",
            Self::KeyAllowed => "key_allowed",
            Self::KeyFunction => "key_function",
            Self::NoKey => "no_key",
            Self::Plan => "plan",
        }
    }
}

impl RejectReason {
    /// Returns the name of the reason in snake case. The name is stable, so a program can depend on it.
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
            Self::NoGuard => "no_guard",
        }
    }
}
