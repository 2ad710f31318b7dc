//! Compares the secret in a request with the correct secret in constant time.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Returns whether the token in a request is the correct token. Call `token_matches` in the function that you pass
/// to [`Endpoints::allow_if`](super::Endpoints::allow_if).
///
/// The duration of the comparison does not depend on how much of the token is correct, so a client cannot guess the
/// token character by character. An empty `token` matches no request. So the endpoints stay closed if the application's
/// setting for the token is missing.
///
/// ```
/// # use actix_web::HttpRequest;
/// # use actix_rateguard::{RateGuard, operator};
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
    // A comparison of slices returns early if their lengths differ. All hashes have the same length, so a
    // comparison of hashes does not reveal the length of the token.
    let is_equal: bool = Sha256::digest(given).ct_eq(&Sha256::digest(token)[..]).into();
    is_equal && !token.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_matches_only_the_same_token() {
        assert!(token_matches("a-long-secret", "a-long-secret"));
        for given in ["", "a", "a-long-secret ", "a-long-secreT", "A-long-secret"] {
            assert!(!token_matches(given, "a-long-secret"), "{given:?}");
        }
        assert!(!token_matches("", ""));
    }
}
