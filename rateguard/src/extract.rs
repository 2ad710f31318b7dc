//! The result of a request's checks, which a handler can take as an argument.

use std::{convert::Infallible, time::Duration};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::{Ready, ready};

use crate::{
    Decision,
    request_state::{RequestState, UndecidedReason},
};

/// The result of the checks that limits made on a request before its handler ran.
///
/// The extractor never fails, because every request has a result.
///
/// ```
/// # use actix_web::{Responder, get};
/// # use actix_rateguard::CheckResult;
/// #[get("/quota")]
/// async fn quota(result: CheckResult) -> impl Responder {
///     match result.remaining() {
///         Some(remaining) => format!("{remaining} requests left"),
///         None => "not limited at the moment".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CheckResult {
    /// A limit has decided on the request. If several limits have decided, this is the decision of the limit with
    /// the fewest requests left.
    Decided(Decision),
    /// No limit has decided on the request. The value is the reason.
    Undecided(UndecidedReason),
}

impl CheckResult {
    /// Returns the number of units that the tightest quota would admit now. The result is `None` if no limit has
    /// decided.
    #[must_use]
    pub fn remaining(&self) -> Option<u32> {
        self.decision().map(Decision::remaining)
    }

    /// Returns true if a limit has denied the request. The handler of a denied request runs only if the limit is
    /// [permissive](crate::Limit::permissive).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.decision().is_some_and(|decision| !decision.is_allowed())
    }

    /// Returns how long the request has waited for room, because its limits have a `wait`. The time is zero if the request
    /// did not wait.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.decision().map_or(Duration::ZERO, Decision::waited)
    }

    /// Returns the decision. The result is `None` if no limit has decided.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Returns the decision. The result is `None` if no limit has decided.
    #[must_use]
    pub fn into_decision(self) -> Option<Decision> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }

    /// Returns the result of the limits that have checked this request so far. Use this function in middlewares
    /// and other code outside handlers.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let Some(state) = RequestState::existing(request) else {
            return Self::Undecided(UndecidedReason::default());
        };
        match state.decision() {
            Some(decision) => Self::Decided(decision),
            None => Self::Undecided(state.undecided()),
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
