//! Defines the names of all fields. The names are in lower case, because HTTP/2 and `HeaderName::from_static`
//! require this.

/// The field for the time that a client should wait, in seconds or as a date (RFC 9110, section 10.2.3). This is the
/// only standard field for rate limits.
pub const RETRY_AFTER: &str = "retry-after";

/// The field for the number of requests in a window. No standard describes this field, but GitHub and many other
/// services use it.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// The field for the number of remaining requests. No standard describes this field.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// The field for the time of the reset. Some servers write the number of seconds from now, and other servers write a
/// Unix time. No standard describes this field.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// The field for the remaining units and the reset of each limit, from draft-ietf-httpapi-ratelimit-headers. Its last
/// revision, 11, has expired. Revision 07 has another syntax for this field than later revisions.
pub const RATELIMIT: &str = "ratelimit";
/// The field for the quota and the window of each limit, from draft-ietf-httpapi-ratelimit-headers.
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// The field for the number of requests in a window, from draft-ietf-httpapi-ratelimit-headers up to revision 06. This
/// crate reads this field but never writes it.
pub const RATELIMIT_LIMIT: &str = "ratelimit-limit";
/// The field for the number of remaining requests, from draft-ietf-httpapi-ratelimit-headers up to revision 06. This
/// crate reads this field but never writes it.
pub const RATELIMIT_REMAINING: &str = "ratelimit-remaining";
/// The field for the time until the reset, in seconds, from draft-ietf-httpapi-ratelimit-headers up to revision 06.
/// This crate reads this field but never writes it.
pub const RATELIMIT_RESET: &str = "ratelimit-reset";
