//! The result of the limits, which a handler can take as an argument.

use std::convert::Infallible;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};

use crate::{
    Decision,
    request_state::{RequestState, UndecidedReason},
};

/// The result of the limits that a request passed before its handler ran.
///
/// Every request has a result, so the extractor never fails.
///
/// ```
/// # use actix_web::{Responder, get};
/// # use actix_rateguard::CheckResult;
/// #[get("/quota")]
/// async fn quota(result: CheckResult) -> impl Responder {
///     match result.decision() {
///         Some(decision) => format!("{} requests left", decision.remaining()),
///         None => "not limited at the moment".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CheckResult {
    /// The decision of the tightest limit, which is the limit with the fewest requests left.
    Decided(Decision),
    /// No limit has decided on the request.
    Undecided(UndecidedReason),
}

impl CheckResult {
    /// Returns the decision, if a limit has decided.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Returns the decision, if a limit has decided.
    #[must_use]
    pub fn into_decision(self) -> Option<Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Returns the result of the limits that have checked this request so far. Use this function in middlewares and
    /// other code outside handlers.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let Some(state) = RequestState::existing(request) else {
            return Self::Undecided(UndecidedReason::default());
        };
        match state.decision() {
            Some(decision) => Self::Decided(decision),
            None => Self::Undecided(state.undecided.get()),
        }
    }
}

impl FromRequest for CheckResult {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}
