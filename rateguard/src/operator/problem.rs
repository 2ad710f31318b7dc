//! The errors of the endpoints. The responses to these errors have problem details (RFC 9457).

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Value, json};

use super::response::build;
use crate::Unavailable;

/// The maximum number of characters in the field `detail`. A longer text is cut, because it may contain text of any
/// length that the client sent.
const MAX_DETAIL: usize = 400;

/// The fields of a response, or the error.
pub(super) type EndpointResult = Result<Value, Problem>;

pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: String,
    detail: String,
    /// The fields that the response has in addition to the problem details. `Null` if there are no such fields.
    extra: Value,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { status, kind: "about:blank", title, detail: detail.into(), extra: Value::Null }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("expected a body of at most {limit} bytes"),
        )
    }

    pub(super) fn media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected `Content-Type: application/json`")
    }

    pub(super) fn method(allowed: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("expected the method {allowed}"))
    }

    pub(super) fn unknown(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Reports that a request is valid, but conflicts with the settings of the limit or the state of the key.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Reports that the application has set neither `allow_if` nor `allow_token`.
    pub(super) fn not_configured() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "These endpoints are disabled. Set what authorizes requests: `operator::endpoints(&guard).allow_token(…)` or `.allow_if(…)`.",
        )
    }

    /// Reports that the request has no token or a wrong one.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "expected the token of the operator: `Authorization: Bearer TOKEN`, or the token as the password",
        )
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden.")
    }

    /// Reports that the store did not answer. `extra` contains the fields of the response that do not depend on the
    /// store.
    pub(super) fn unavailable(unavailable: &Unavailable, extra: Value) -> Self {
        let cause = unavailable.cause();
        let effect =
            if unavailable.lets_pass() { "allowed without a check" } else { "rejected with 503" };
        let detail =
            format!("The store did not answer: {cause}. Meanwhile, requests are {effect}.");
        Self::store_failed(detail, extra)
    }

    /// Reports that the store failed. `extra` contains the fields of the response that do not depend on the store.
    pub(super) fn store_failed(detail: String, extra: Value) -> Self {
        Self {
            kind: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
            title: "Request cannot be satisfied due to temporary server capacity constraints"
                .to_owned(),
            extra,
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let detail: String = self.detail.chars().take(MAX_DETAIL).collect();
        let mut body = match self.extra {
            extra @ Value::Object(_) => extra,
            _ => json!({}),
        };
        body["type"] = self.kind.into();
        body["title"] = self.title.into();
        body["status"] = self.status.as_u16().into();
        body["detail"] = detail.into();
        build(self.status, "application/problem+json", &body)
    }
}
