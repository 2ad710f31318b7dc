//! Errors that pass a limit on their way out.

use std::{cell::Cell, fmt};

use actix_web::{Error, HttpResponse, ResponseError, http::StatusCode};

use super::headers;
use crate::{Decision, RateGuard};

/// An error of a service behind the middleware, whose response is to tell the decision too.
///
/// It shows itself as the error does, though a middleware that asks for the error's type finds this one. Errors of
/// handlers and extractors are responses already when they come by here; this is for inner middlewares that fail.
pub(super) struct LimitedError {
    error: Error,
    /// Its answer, until it is asked for it.
    response: Cell<Option<HttpResponse>>,
    status: StatusCode,
    decision: Decision,
    guard: RateGuard,
}

impl LimitedError {
    pub(super) fn new(
        error: Error,
        response: HttpResponse,
        decision: Decision,
        guard: RateGuard,
    ) -> Self {
        // An inner limit may have left the client less.
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
