//! The decision as an argument of a handler.

use std::{error::Error, fmt};

use actix_web::{FromRequest, HttpRequest, ResponseError, dev::Payload};
use futures_util::future::{Ready, ready};

use super::kept::decided;
use crate::Decision;

/// The tightest decision on this request.
///
/// Take an `Option<Decision>` where a request may come without one: on a route without a limit, or when the store did
/// not answer and the limit fails open.
///
/// ```
/// # use actix_web::{Responder, get};
/// # use rateguard::Decision;
/// #[get("/quota")]
/// async fn quota(decision: Option<Decision>) -> impl Responder {
///     match decision {
///         Some(decision) => format!("{} requests left", decision.remaining()),
///         None => "not limited at the moment".to_owned(),
///     }
/// }
/// ```
impl FromRequest for Decision {
    type Error = NoDecision;
    type Future = Ready<Result<Self, NoDecision>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(decided(request).ok_or(NoDecision))
    }
}

/// A handler asked for the decision on a request that has none. It is answered with 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDecision;

impl fmt::Display for NoDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no rate limit has decided on this request; take an `Option<Decision>` if that may be",
        )
    }
}

impl Error for NoDecision {}

impl ResponseError for NoDecision {}
