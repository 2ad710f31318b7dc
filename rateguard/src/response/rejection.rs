//! Creates the responses to rejected requests.
//!
//! Every client can receive these responses, so the bodies must not reveal internal data. The texts are constant,
//! except for the public names of policies.

use std::{rc::Rc, time::Duration};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ACCEPT, Accept, ContentType, Header, HeaderValue, Quality},
    },
};
use serde_json::json;

use super::headers::{jitter, write_no_store, write_retry_after};
use crate::{
    Decision, QuotaStatus, RejectionBody, bounds, on_denied::OnDenied, request_state::RequestState,
    settings::HttpSettings,
};

/// The value of `Retry-After` while the store does not answer. After the store has recovered, the guard needs about
/// this time to detect the recovery.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason why a request was rejected.
pub(crate) enum Rejection {
    /// The response has status 429, because a limit has denied the request.
    ///
    /// `state` is the state of the request, and `index` is the index of the decision in this state. The middleware
    /// or macro attribute adds the header fields that report the decision to the response.
    Denied { state: Rc<RequestState>, index: usize, on_denied: Option<OnDenied> },
    /// The response has status 503, because the store did not answer and the limit fails closed.
    Unavailable,
    /// The response has status 403, because the request lacks a required key, or an access list denies the client.
    Forbidden,
    /// A function of the application returned an error, which becomes the response.
    Error(Error),
    /// The response has status 500, because the application is misconfigured. The log message has the details.
    Misconfigured,
}

impl Rejection {
    /// Creates the response to the rejected request.
    pub(crate) fn into_response(
        self,
        settings: &HttpSettings,
        request: &HttpRequest,
    ) -> HttpResponse {
        let mut response = match self {
            Self::Denied { state, index, on_denied } => {
                let decision = state.get(index);
                match (on_denied.as_ref().or(settings.on_denied.as_ref()), &decision) {
                    (Some(on_denied), Some(decision)) => on_denied(request, decision),
                    _ => denied(decision.as_ref(), settings, request),
                }
            }
            Self::Unavailable => {
                let mut response = UNAVAILABLE.response(None, settings, request);
                let jitter = jitter(settings, request);
                write_retry_after(STORE_RETRY_AFTER, jitter, response.headers_mut());
                response
            }
            Self::Forbidden => FORBIDDEN.response(None, settings, request),
            // The application sets `Cache-Control` for its own errors, so RateGuard does not change this response.
            Self::Error(error) => return HttpResponse::from_error(error),
            Self::Misconfigured => return misconfigured(),
        };
        write_no_store(response.headers_mut());
        response
    }
}

/// Creates the response with status 500. The function has no guard as an argument, because the application may have
/// no guard.
pub(crate) fn misconfigured() -> HttpResponse {
    let mut response = MISCONFIGURED.text();
    write_no_store(response.headers_mut());
    response
}

/// The status and the texts of a rejection. If the problem type is not `about:blank`,
/// draft-ietf-httpapi-ratelimit-headers-11 registers the problem type and its title.
struct RejectionText {
    status: StatusCode,
    text: &'static str,
    problem: &'static str,
    title: &'static str,
}

const DENIED: RejectionText = RejectionText {
    status: StatusCode::TOO_MANY_REQUESTS,
    text: "Too many requests. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
};

const TOO_COSTLY: RejectionText =
    RejectionText { text: "This request is larger than its rate limit.\n", ..DENIED };

const BANNED: RejectionText = RejectionText {
    problem: "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
    title: "Request not satisfied due to detection of abnormal request pattern",
    ..DENIED
};

const UNAVAILABLE: RejectionText = RejectionText {
    status: StatusCode::SERVICE_UNAVAILABLE,
    text: "Service unavailable. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    title: "Request cannot be satisfied due to temporary server capacity constraints",
};

const FORBIDDEN: RejectionText = RejectionText {
    status: StatusCode::FORBIDDEN,
    text: "Forbidden.\n",
    problem: "about:blank",
    title: "Forbidden",
};

const MISCONFIGURED: RejectionText = RejectionText {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    text: "Internal server error.\n",
    problem: "about:blank",
    title: "Internal Server Error",
};

fn denied(
    decision: Option<&Decision>,
    settings: &HttpSettings,
    request: &HttpRequest,
) -> HttpResponse {
    let text = match decision {
        Some(banned) if banned.banned_for().is_some() => BANNED,
        Some(costly) if costly.is_too_costly() => TOO_COSTLY,
        _ => DENIED,
    };
    text.response(decision, settings, request)
}

impl RejectionText {
    fn response(
        &self,
        decision: Option<&Decision>,
        settings: &HttpSettings,
        request: &HttpRequest,
    ) -> HttpResponse {
        let is_problem = match settings.body {
            RejectionBody::ProblemDetails => true,
            RejectionBody::Text => false,
            _ => accepts_problem_json(request),
        };
        if is_problem { self.problem(decision) } else { self.text() }
    }

    fn text(&self) -> HttpResponse {
        HttpResponse::build(self.status).content_type(ContentType::plaintext()).body(self.text)
    }

    /// Creates a response whose body has problem details (RFC 9457).
    fn problem(&self, decision: Option<&Decision>) -> HttpResponse {
        let mut problem = json!({
            "type": self.problem,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.text.trim_end(),
        });
        if let Some(decision) = decision {
            problem["violated-policies"] = violated_policies(decision).into();
        }
        HttpResponse::build(self.status)
            .content_type("application/problem+json")
            .body(problem.to_string())
    }
}

/// Returns the public names of the quotas that denied the request. If the client is banned, returns only the quota
/// of the policy that banned the client.
fn violated_policies(decision: &Decision) -> Vec<String> {
    let tightest = decision.tightest_index();
    let is_violated = |(index, status): &(usize, &QuotaStatus)| match decision.banned_for() {
        Some(_) => *index == tightest,
        None => status.retry_after() != Some(Duration::ZERO),
    };
    let statuses = decision.statuses().iter().enumerate().zip(decision.public_names());
    statuses.filter(|(status, _)| is_violated(status)).map(|(_, name)| name).collect()
}

/// Returns whether the client prefers JSON to text. This is the case if `Accept` contains a JSON type whose quality
/// value is at least as high as the quality value of text (RFC 9110, section 12.5.1).
///
/// The function ignores `Accept` if this header has more than 8 values, or if the values have more than 1,024
/// bytes.
fn accepts_problem_json(request: &HttpRequest) -> bool {
    if !bounds::ACCEPT.permits(request.headers(), &ACCEPT) {
        return false;
    }
    // The parser for `Accept` needs more time than the check of a limit in memory. Most requests do not accept
    // JSON, so a search for the text `json` finds the few requests that need the parser.
    let names_json = |value: &HeaderValue| {
        value.as_bytes().windows(4).any(|bytes| bytes.eq_ignore_ascii_case(b"json"))
    };
    if !request.headers().get_all(ACCEPT).any(names_json) {
        return false;
    }
    let Ok(Accept(accepted)) = Accept::parse(request) else { return false };
    let quality = |types: &[&str]| {
        let of_type = accepted.iter().filter(|it| types.contains(&it.item.essence_str()));
        of_type.map(|it| it.quality).max().unwrap_or(Quality::ZERO)
    };
    let json = quality(&["application/problem+json", "application/json"]);
    json > Quality::ZERO && json >= quality(&["text/plain", "text/html"])
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn problem_details_require_json_with_at_least_the_quality_of_text() {
        for (accept, expected) in [
            ("application/problem+json", true),
            ("application/json, text/plain;q=0.5", true),
            ("text/plain;q=0.5, application/json;q=0.5", true),
            ("Application/JSON", true),
            ("application/json;q=0", false),
            ("text/html, application/json;q=0.9", false),
            ("*/*", false),
            ("application/*", false),
            ("", false),
            ("nonsense", false),
        ] {
            let request =
                TestRequest::default().insert_header(("Accept", accept)).to_http_request();
            assert_eq!(accepts_problem_json(&request), expected, "{accept:?}");
        }
        assert!(!accepts_problem_json(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn accept_is_treated_as_absent_when_it_exceeds_its_bound() {
        let accepts = |values: &[String]| {
            let request = TestRequest::default();
            let request =
                values.iter().fold(request, |it, value| it.append_header((ACCEPT, value.as_str())));
            accepts_problem_json(&request.to_http_request())
        };
        let json = || "application/json".to_owned();
        let padded = |length: usize| format!("application/json{}", " ".repeat(length - 16));
        assert!(accepts(&vec![json(); 8]));
        assert!(!accepts(&vec![json(); 9]));
        assert!(accepts(&[format!("application/json, a/{}", "b".repeat(1_024 - 20))]));
        assert!(!accepts(&[format!("application/json, a/{}", "b".repeat(1_024 - 19))]));
        assert!(!accepts(&vec![padded(2_000); 2_000]));
    }
}
