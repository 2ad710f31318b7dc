//! The answers of a limit that does not let a request through.
//!
//! Their bodies are constant but for the public names of policies: whatever is in them can be read by anybody.

use std::{rc::Rc, time::Duration};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ACCEPT, Accept, ContentType, Header, HeaderValue, Quality},
    },
};
use serde_json::json;

use super::{
    bounds,
    headers::{jitter, write_no_store, write_retry_after},
    kept::Kept,
    settings::{HttpSettings, RefusalBody},
    terms::OnDenied,
};
use crate::{Decision, Standing};

/// How long a client should stay away while the store is: about as long as it takes to notice that it is back.
const STORE_AWAY: Duration = Duration::from_secs(1);

/// Why a request was not let through.
pub(super) enum Refusal {
    /// 429: the limit is reached, or less than the request's cost. The decision is kept with the request. The numbers are written by whoever writes those of all
    /// responses.
    Denied { kept: Rc<Kept>, place: usize, on_denied: Option<OnDenied> },
    /// 503: nothing could be decided and the limit fails closed. The client is not to blame.
    Unavailable,
    /// 403: who has to have a key has none, or is on a list of those who are refused.
    Forbidden,
    /// What the user's own function answers.
    Error(Error),
    /// 500: the application has a mistake, which is in the log.
    Misconfigured,
}

impl Refusal {
    /// What the client is told.
    pub(super) fn answer(self, settings: &HttpSettings, request: &HttpRequest) -> HttpResponse {
        let mut response = match self {
            Self::Denied { kept, place, on_denied } => {
                let decision = kept.get(place);
                match (on_denied.as_ref().or(settings.on_denied.as_ref()), &decision) {
                    (Some(answer), Some(decision)) => answer(request, decision),
                    _ => denied(decision.as_ref(), settings, request),
                }
            }
            Self::Unavailable => {
                let mut response = UNAVAILABLE.answer(None, settings, request);
                let jitter = jitter(settings, request);
                write_retry_after(STORE_AWAY, jitter, response.headers_mut());
                response
            }
            Self::Forbidden => FORBIDDEN.answer(None, settings, request),
            // It is as cacheable as the user says.
            Self::Error(error) => return HttpResponse::from_error(error),
            Self::Misconfigured => return misconfigured(),
        };
        write_no_store(response.headers_mut());
        response
    }
}

/// 500, where there are no settings.
pub(super) fn misconfigured() -> HttpResponse {
    let mut response = MISCONFIGURED.text();
    write_no_store(response.headers_mut());
    response
}

/// The words of a refusal. The types and their titles are those that draft-ietf-httpapi-ratelimit-headers-11 registers.
struct Words {
    status: StatusCode,
    text: &'static str,
    problem: &'static str,
    title: &'static str,
}

const DENIED: Words = Words {
    status: StatusCode::TOO_MANY_REQUESTS,
    text: "Too many requests. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
};

const TOO_COSTLY: Words = Words { text: "This request is larger than its rate limit.\n", ..DENIED };

const BANNED: Words = Words {
    problem: "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
    title: "Request not satisfied due to detection of abnormal request pattern",
    ..DENIED
};

const UNAVAILABLE: Words = Words {
    status: StatusCode::SERVICE_UNAVAILABLE,
    text: "Service unavailable. Please retry later.\n",
    problem: "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
    title: "Request cannot be satisfied due to temporary server capacity constraints",
};

const FORBIDDEN: Words = Words {
    status: StatusCode::FORBIDDEN,
    text: "Forbidden.\n",
    problem: "about:blank",
    title: "Forbidden",
};

const MISCONFIGURED: Words = Words {
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
    let words = match decision {
        Some(banned) if banned.banned_for().is_some() => BANNED,
        Some(costly) if costly.is_too_costly() => TOO_COSTLY,
        _ => DENIED,
    };
    words.answer(decision, settings, request)
}

impl Words {
    fn answer(
        &self,
        decision: Option<&Decision>,
        settings: &HttpSettings,
        request: &HttpRequest,
    ) -> HttpResponse {
        let is_problem = match settings.body {
            RefusalBody::Negotiated => likes_problems(request),
            RefusalBody::ProblemDetails => true,
            RefusalBody::Text => false,
        };
        if is_problem { self.problem(decision) } else { self.text() }
    }

    fn text(&self) -> HttpResponse {
        HttpResponse::build(self.status).content_type(ContentType::plaintext()).body(self.text)
    }

    /// Problem details (RFC 9457).
    fn problem(&self, decision: Option<&Decision>) -> HttpResponse {
        let mut problem = json!({
            "type": self.problem,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.text.trim_end(),
        });
        if let Some(decision) = decision {
            problem["violated-policies"] = violated(decision).into();
        }
        HttpResponse::build(self.status)
            .content_type("application/problem+json")
            .body(problem.to_string())
    }
}

/// The public names of the quotas that denied.
fn violated(decision: &Decision) -> Vec<String> {
    let place = decision.tightest_place();
    let is_violated = |(at, standing): &(usize, &Standing)| match decision.banned_for() {
        Some(_) => *at == place,
        None => standing.retry_after() != Some(Duration::ZERO),
    };
    let standings = decision.standings().iter().enumerate().zip(decision.public_names());
    standings.filter(|(standing, _)| is_violated(standing)).map(|(_, name)| name).collect()
}

/// Whether the client names JSON among what it accepts, and does not like text more (RFC 9110, section 12.5.1). An `Accept` of
/// more than 8 values or 1,024 bytes is treated as none.
fn likes_problems(request: &HttpRequest) -> bool {
    if !bounds::ACCEPT.holds_for(request.headers(), &ACCEPT) {
        return false;
    }
    // Most do not, and to parse what they accept takes longer than the check.
    let names_json = |value: &HeaderValue| {
        value.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json"))
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
    fn who_names_json_and_does_not_like_text_more_gets_problem_details() {
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
            assert_eq!(likes_problems(&request), expected, "{accept:?}");
        }
        assert!(!likes_problems(&TestRequest::default().to_http_request()));
    }

    #[test]
    fn accept_is_treated_as_absent_when_it_exceeds_its_bound() {
        let ask = |values: &[String]| {
            let request = TestRequest::default();
            let request =
                values.iter().fold(request, |it, value| it.append_header((ACCEPT, value.as_str())));
            likes_problems(&request.to_http_request())
        };
        let json = || "application/json".to_owned();
        let padded = |length: usize| format!("application/json{}", " ".repeat(length - 16));
        assert!(ask(&vec![json(); 8]));
        assert!(!ask(&vec![json(); 9]));
        assert!(ask(&[format!("application/json, a/{}", "b".repeat(1_024 - 20))]));
        assert!(!ask(&[format!("application/json, a/{}", "b".repeat(1_024 - 19))]));
        assert!(!ask(&vec![padded(2_000); 2_000]));
    }
}
