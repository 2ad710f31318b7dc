//! Decides which requests the endpoints accept.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};

use super::{base64::decode, problem::Problem, token::token_matches};
use crate::per_request::RequestResolver;

/// Makes a browser ask for the token as a password.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"RateGuard operator\"");

/// The settings that authorize requests. A request must satisfy all of them.
#[derive(Clone, Default)]
pub(super) struct Authorization {
    pub(super) allowed: Option<RequestResolver<bool>>,
    pub(super) token: Option<String>,
}

/// The reason why the endpoints do not accept a request.
pub(super) enum Denied {
    /// The application has set neither a function nor a token.
    NotConfigured,
    /// The request has no token or a wrong one.
    Token,
    /// The function returned false.
    Function,
    /// The function returned an error.
    Error(actix_web::Error),
}

impl Authorization {
    pub(super) async fn check(&self, request: &HttpRequest) -> Result<(), Denied> {
        if self.allowed.is_none() && self.token.is_none() {
            return Err(Denied::NotConfigured);
        }
        if let Some(token) = &self.token
            && !has_token(request, token)
        {
            return Err(Denied::Token);
        }
        match &self.allowed {
            None => Ok(()),
            Some(allowed) => match allowed.resolve(request).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Denied::Function),
                Err(error) => Err(Denied::Error(error)),
            },
        }
    }
}

impl Denied {
    pub(super) fn into_response(self) -> HttpResponse {
        match self {
            Self::NotConfigured => Problem::not_configured().into_response(),
            Self::Function => Problem::forbidden().into_response(),
            Self::Error(error) => HttpResponse::from_error(error),
            Self::Token => {
                let mut response = Problem::unauthorized().into_response();
                response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
                response
            }
        }
    }
}

/// Whether the request has the token: as a bearer token (RFC 6750), or as the password of Basic authentication
/// (RFC 7617) with any user.
fn has_token(request: &HttpRequest, token: &str) -> bool {
    let header = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(header) = header.map(<[u8]>::trim_ascii) else { return false };
    let Some(space) = header.iter().position(|byte| *byte == b' ') else { return false };
    let (scheme, credentials) = (&header[..space], header[space..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return token_matches(credentials, token);
    }
    if !scheme.eq_ignore_ascii_case(b"Basic") {
        return false;
    }
    let Some(decoded) = decode(credentials) else { return false };
    // A user name has no colon.
    let colon = decoded.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| token_matches(&decoded[colon + 1..], token))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn matches(header: &str) -> bool {
        let request = TestRequest::get().insert_header((AUTHORIZATION, header)).to_http_request();
        has_token(&request, "a:secret")
    }

    #[test]
    fn token_is_a_bearer_token_or_a_password() {
        assert!(matches("Bearer a:secret"));
        assert!(matches("bearer   a:secret "));
        // `ann:a:secret` and `:a:secret`
        assert!(matches("Basic YW5uOmE6c2VjcmV0"));
        assert!(matches("basic OmE6c2VjcmV0"));
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer secret",
            "a:secret",
            "Digest a:secret",
            "Basic a:secret",
            // `a:secret`, `ann:secret` and `ann`
            "Basic YTpzZWNyZXQ=",
            "Basic YW5uOnNlY3JldA==",
            "Basic YW5u",
            "Basic",
        ] {
            assert!(!matches(header), "{header:?}");
        }
        assert!(!has_token(&TestRequest::get().to_http_request(), "a:secret"));
        let empty = TestRequest::get().insert_header((AUTHORIZATION, "Bearer ")).to_http_request();
        assert!(!has_token(&empty, ""));
    }
}
