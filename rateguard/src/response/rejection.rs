//! Creates the default responses to rejected requests.
//!
//! Every client can receive these responses, so the bodies must not reveal internal data. The texts are constant,
//! except for the public names of policies.

use std::{borrow::Cow, time::Duration};

use actix_rateguard_headers::encode_policy_name;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ACCEPT, Accept, ContentType, Header, HeaderValue, Quality},
    },
};
use serde_json::json;

use crate::{
    Decision, QuotaStatus, Rejection, RejectionBody, bounds, request_state::RequestState,
    settings::HttpSettings,
};

/// The value of `Retry-After` while the store does not answer. After the store has recovered, the guard needs about
/// this time to detect the recovery.
pub(super) const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Creates the response that a rejected request gets if the application does not create one.
pub(super) fn default_response(
    rejection: &Rejection,
    settings: &HttpSettings,
    request: &HttpRequest,
) -> HttpResponse {
    let state = RequestState::existing(request);
    let visible = |decision| match &state {
        Some(state) => state.visible(decision),
        None => Some(Cow::Borrowed(decision)),
    };
    // A hidden limit must not show that it has denied or banned the client.
    let decision = rejection.decision().and_then(visible);
    let text = match rejection {
        Rejection::Denied(_) => denial_text(decision.as_deref()),
        Rejection::Forbidden(_) => FORBIDDEN,
        Rejection::Unavailable(_) => UNAVAILABLE,
        Rejection::Misconfigured(_) => MISCONFIGURED,
    };
    let is_problem = match settings.body {
        RejectionBody::ProblemDetails => true,
        RejectionBody::Text => false,
        _ => accepts_problem_json(request),
    };
    let status = rejection.status();
    if is_problem { text.problem(status, decision.as_deref()) } else { text.text(status) }
}

/// Returns the texts for a denial. `decision` is the part of it that the client may see.
fn denial_text(decision: Option<&Decision>) -> RejectionText {
    match decision {
        Some(banned) if banned.banned_for().is_some() => BANNED,
        Some(costly) if costly.is_too_costly() => TOO_COSTLY,
        Some(denial) if denial.is_denied_by_concurrency() => TOO_MANY_IN_PROGRESS,
        _ => DENIED,
    }
}

/// The texts of a rejection. All problem types except `about:blank`, and their titles, come from
/// draft-ietf-httpapi-ratelimit-headers-11.
struct RejectionText {
    text: &'static str,
    problem: &'static str,
    title: &'static str,
}

const DENIED: RejectionText = RejectionText {
    text: "Too many requests. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
};

const TOO_COSTLY: RejectionText =
    RejectionText { text: "This request is larger than its rate limit.\n", ..DENIED };

/// The draft has no problem type of its own for requests in progress. The member `violated-policies` names the policy,
/// whose unit in `RateLimit-Policy` is `concurrent-requests`.
const TOO_MANY_IN_PROGRESS: RejectionText = RejectionText {
    text: "Too many requests in progress. Please retry when one of them has ended.\n",
    ..DENIED
};

const BANNED: RejectionText = RejectionText {
    problem: "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
    title: "Request not satisfied due to detection of abnormal request pattern",
    ..DENIED
};

const UNAVAILABLE: RejectionText = RejectionText {
    text: "Service unavailable. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    title: "Request cannot be satisfied due to temporary server capacity constraints",
};

const FORBIDDEN: RejectionText =
    RejectionText { text: "Forbidden.\n", problem: "about:blank", title: "Forbidden" };

const MISCONFIGURED: RejectionText = RejectionText {
    text: "Internal server error.\n",
    problem: "about:blank",
    title: "Internal Server Error",
};

impl RejectionText {
    fn text(&self, status: StatusCode) -> HttpResponse {
        HttpResponse::build(status).content_type(ContentType::plaintext()).body(self.text)
    }

    /// Creates a response whose body has problem details (RFC 9457).
    fn problem(&self, status: StatusCode, decision: Option<&Decision>) -> HttpResponse {
        let mut problem = json!({
            "type": self.problem,
            "title": self.title,
            "status": status.as_u16(),
            "detail": self.text.trim_end(),
        });
        let violated = decision.map(violated_policies).unwrap_or_default();
        if !violated.is_empty() {
            problem["violated-policies"] = violated.into();
        }
        HttpResponse::build(status)
            .content_type("application/problem+json")
            .body(problem.to_string())
    }
}

/// Returns the public names of the quotas that denied the request, encoded as in the field `RateLimit`, so that a
/// client can find the quotas in this field. If the client is banned, returns only the quota of the policy that banned
/// the client.
fn violated_policies(decision: &Decision) -> Vec<String> {
    let tightest = decision.tightest_index();
    let is_violated = |(index, status): &(usize, &QuotaStatus)| match decision.banned_for() {
        Some(_) => *index == tightest,
        None => status.retry_after() != Some(Duration::ZERO),
    };
    let statuses = decision.statuses().iter().enumerate().zip(decision.public_names());
    let violated = statuses.filter(|(status, _)| is_violated(status));
    violated.map(|(_, name)| encode_policy_name(&name)).collect()
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
