//! A secret that a request brings.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether a request has brought the right token, for [`Endpoints::allow_if`](super::Endpoints::allow_if).
///
/// It takes as long however much of the token is right, so that nobody finds it out letter by letter. An empty token is matched
/// by nothing: a setting that was forgotten lets nobody in.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use rateguard::{RateGuard, operator};
/// # fn app(guard: &RateGuard, token: String) -> operator::Endpoints {
/// operator::endpoints(guard).allow_if(move |request: &HttpRequest| {
///     let given = request.headers().get("X-Operator-Token");
///     given.is_some_and(|given| operator::token_matches(given, &token))
/// })
/// # }
/// ```
#[must_use]
pub fn token_matches(given: impl AsRef<[u8]>, token: impl AsRef<[u8]>) -> bool {
    let (given, token) = (given.as_ref(), token.as_ref());
    // Slices of different lengths are told apart at once; digests have one length.
    let is_equal: bool = Sha256::digest(given).ct_eq(&Sha256::digest(token)[..]).into();
    is_equal && !token.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_matches_the_same_token_alone() {
        assert!(token_matches("a-long-secret", "a-long-secret"));
        for given in ["", "a", "a-long-secret ", "a-long-secreT", "A-long-secret"] {
            assert!(!token_matches(given, "a-long-secret"), "{given:?}");
        }
        assert!(!token_matches("", ""));
    }
}
