//! The error that the middleware returns if the inner service returns an error. The error contains the decision of
//! the middleware, so that the response can report this decision.

use std::{cell::Cell, fmt};

use actix_web::{Error, HttpResponse, ResponseError, http::StatusCode};

use super::headers;
use crate::{Decision, RateGuard};

/// An error of the inner service, together with the middleware's decision. The headers of the response report this
/// decision.
///
/// `Debug` and `Display` write the error of the inner service. An outer middleware that downcasts the error finds
/// this type and not the type of the inner error. actix-web converts errors of handlers and extractors into
/// responses, so this type only contains errors of inner middlewares.
pub(crate) struct LimitedError {
    error: Error,
    /// The response to the error. `None` after `error_response` has returned the response.
    response: Cell<Option<HttpResponse>>,
    status: StatusCode,
    decision: Decision,
    guard: RateGuard,
}

impl LimitedError {
    pub(crate) fn new(
        error: Error,
        response: HttpResponse,
        decision: Decision,
        guard: RateGuard,
    ) -> Self {
        // A limit of an inner middleware may have fewer requests left, so the headers report a combination of the
        // decisions of both middlewares.
        let decision = match error.as_error::<Self>() {
            Some(inner) => decision.and(inner.decision.clone()),
            None => decision,
        };
        let status = response.status();
        Self { error, response: Cell::new(Some(response)), status, decision, guard }
    }
}

impl fmt::Debug for LimitedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for LimitedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for LimitedError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.response.take().unwrap_or_else(|| self.error.error_response());
        headers::write_decision(&self.decision, self.guard.http(), 0, response.headers_mut());
        response
    }
}
