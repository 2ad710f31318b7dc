//! The rejection of a request, which an application can turn into a response of its own.

use actix_web::http::StatusCode;

use crate::{Decision, Unavailable, not_checked::RejectReason};

/// The reason why RateGuard rejects a request. The handler of a rejected request does not run.
///
/// [`RateGuardBuilder::on_reject`](crate::RateGuardBuilder::on_reject) gets this value and can replace the response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// A limit or a ban ([`Decision::banned_for`]) denies the request. The default status is 429.
    Denied(Decision),
    /// An access list denies the client, or the request lacks a required key. The default status is 403.
    Forbidden(RejectReason),
    /// The store failed to decide, and the limit fails closed. The default status is 503.
    Unavailable(Unavailable),
    /// The application is misconfigured, so there is no limit to check. The default status is 500. The log has the
    /// details.
    Misconfigured(RejectReason),
}

impl Rejection {
    /// Returns the status of the default response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the decision that denies the request. The result is `None` if the request is rejected for another
    /// reason.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Denied(decision) => Some(decision),
            Self::Forbidden(_) | Self::Unavailable(_) | Self::Misconfigured(_) => None,
        }
    }
}
