//! What is wrong, as problem details (RFC 9457).

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Value, json};

use super::answer::finish;
use crate::Unavailable;

/// Of a client's text, no more than so many characters come back.
const SHOWN: usize = 400;

pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: String,
    detail: String,
    /// What is known nevertheless.
    more: Value,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { status, kind: "about:blank", title, detail: detail.into(), more: Value::Null }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body here has {limit} bytes at the most"),
        )
    }

    pub(super) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a body here has `Content-Type: application/json`",
        )
    }

    pub(super) fn method(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("here is only {allowed}"))
    }

    pub(super) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It is understood, and not possible as things are.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn nobody_may() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The application has not said who may use these endpoints: `operator::endpoints(&guard).allow_if(…)`.",
        )
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden.")
    }

    /// The store did not answer, so that this is all that is known.
    pub(super) fn unavailable(unavailable: &Unavailable, more: Value) -> Self {
        let cause = unavailable.cause();
        let then = if unavailable.lets_pass() { "pass unchecked" } else { "are refused with 503" };
        Self {
            kind: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            title: "Request cannot be satisfied due to temporary server capacity constraints"
                .to_owned(),
            more,
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("The store did not answer: {cause}. Requests {then} meanwhile."),
            )
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn answer(self) -> HttpResponse {
        let detail: String = self.detail.chars().take(SHOWN).collect();
        let mut body = match self.more {
            more @ Value::Object(_) => more,
            _ => json!({}),
        };
        body["type"] = self.kind.into();
        body["title"] = self.title.into();
        body["status"] = self.status.as_u16().into();
        body["detail"] = detail.into();
        finish(self.status, "application/problem+json", &body)
    }
}
