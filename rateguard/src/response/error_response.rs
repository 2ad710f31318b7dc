//! Errors that the middleware returns with the headers of its decision.

use std::{cell::Cell, fmt};

use actix_web::{Error, HttpResponse, ResponseError, http::StatusCode};

use super::headers;
use crate::{Decision, RateGuard};

/// An error of the wrapped service, with the middleware's decision for the headers of the response.
///
/// `Debug` and `Display` write the wrapped error, but an outer middleware that downcasts the error finds this type.
/// actix-web converts errors of handlers and extractors into responses, so this type only wraps errors of inner
/// middlewares.
pub(crate) struct LimitedError {
    error: Error,
    /// The response to the error. `None` after actix-web has taken the response.
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
        // An inner limit may have a tighter decision, so the headers report both.
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
