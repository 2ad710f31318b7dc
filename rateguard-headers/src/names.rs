//! The names of all fields, in lower case, as HTTP/2 and `HeaderName::from_static` require.

/// The time to wait, in seconds or as a date (RFC 9110, section 10.2.3). It is the only standard field.
pub const RETRY_AFTER: &str = "retry-after";

/// The number of requests in a window. No standard; used by GitHub and many others.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// The number of remaining requests. No standard.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// The time of the reset. Servers use seconds from now or a Unix time. No standard.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// The status of the limits (draft-ietf-httpapi-ratelimit-headers; revision 07 has another syntax).
pub const RATELIMIT: &str = "ratelimit";
/// The quotas of the limits (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// The number of requests in a window, up to revision 06 of the draft. This crate only reads it.
pub const RATELIMIT_LIMIT: &str = "ratelimit-limit";
/// The number of remaining requests, up to revision 06 of the draft. This crate only reads it.
pub const RATELIMIT_REMAINING: &str = "ratelimit-remaining";
/// The time until the reset in seconds, up to revision 06 of the draft. This crate only reads it.
pub const RATELIMIT_RESET: &str = "ratelimit-reset";

/// The time at which the response was generated (RFC 9110, section 6.6.1).
#[cfg(feature = "read")]
pub(crate) const DATE: &str = "date";
/// The time in seconds that the response has been in caches (RFC 9111, section 5.1).
#[cfg(feature = "read")]
pub(crate) const AGE: &str = "age";
