//! The names of all fields. They are in lower case, because HTTP/2 and `HeaderName::from_static` require this.

/// The time to wait, in seconds or as a date (RFC 9110, section 10.2.3). This is the only standard field for rate
/// limits.
pub const RETRY_AFTER: &str = "retry-after";

/// The number of requests in a window. Not a standard field, but GitHub and many others use it.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// The number of remaining requests. Not a standard field.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// The time of the reset. Some servers write seconds from now, others a Unix time. Not a standard field.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// The remaining units and the reset of each limit (draft-ietf-httpapi-ratelimit-headers; revision 07 has another
/// syntax).
pub const RATELIMIT: &str = "ratelimit";
/// The quota and the window of each limit (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// The number of requests in a window, up to revision 06 of the draft. This crate reads this field but never writes it.
pub const RATELIMIT_LIMIT: &str = "ratelimit-limit";
/// The number of remaining requests, up to revision 06 of the draft. This crate reads this field but never writes it.
pub const RATELIMIT_REMAINING: &str = "ratelimit-remaining";
/// The time until the reset in seconds, up to revision 06 of the draft. This crate reads this field but never writes
/// it.
pub const RATELIMIT_RESET: &str = "ratelimit-reset";
