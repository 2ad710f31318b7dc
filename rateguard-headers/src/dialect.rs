//! In which fields a server tells its limits.

use crate::names::{
    RATELIMIT, RATELIMIT_POLICY, X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET,
};

/// In which fields a server tells its limits. `Retry-After` goes with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderDialect {
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, which is in seconds from now. They tell
    /// one limit. No standard describes them.
    XRateLimit,
    /// The same fields, as GitHub writes them: `X-RateLimit-Reset` is a Unix time in seconds. Clients understand it
    /// only if their clock is right, or if they look at `Date`.
    XRateLimitEpoch,
    /// `RateLimit` and `RateLimit-Policy`, which tell any number of limits by their names, as Structured Fields
    /// (RFC 9651). They follow revision 11 of draft-ietf-httpapi-ratelimit-headers, of May 2026. That is a draft and
    /// not a standard; a later revision may change it.
    Draft,
}

impl HeaderDialect {
    /// The names of its fields, in lower case.
    #[must_use]
    pub fn field_names(self) -> &'static [&'static str] {
        match self {
            Self::XRateLimit | Self::XRateLimitEpoch => {
                &[X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET]
            }
            Self::Draft => &[RATELIMIT_POLICY, RATELIMIT],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_in_lower_case() {
        for dialect in
            [HeaderDialect::XRateLimit, HeaderDialect::XRateLimitEpoch, HeaderDialect::Draft]
        {
            for name in dialect.field_names() {
                assert_eq!(http::HeaderName::from_static(name).as_str(), *name);
            }
        }
    }
}
