//! Defines the names of all fields. The names are in lower case, because HTTP/2 and `HeaderName::from_static`
//! require this.

/// The name of the field that reports how long a client should wait, in seconds or as a date (RFC 9110, section
/// 10.2.3). `Retry-After` is the only standard field for rate limits.
pub const RETRY_AFTER: &str = "retry-after";

/// The name of the field that reports how many requests a window allows. No standard describes this field, but GitHub
/// and many other services use it.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// The name of the field that reports how many requests remain. No standard describes this field.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// The name of the field that reports the time of the reset. Some servers write the number of seconds from now, and
/// other servers write a Unix time. No standard describes this field.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// The name of the field that reports the remaining units and the reset of each limit.
/// draft-ietf-httpapi-ratelimit-headers defines this field. The last revision of the draft is revision 11, which has
/// expired. Revision 07 defines a different syntax for this field than the later revisions.
pub const RATELIMIT: &str = "ratelimit";
/// The name of the field that reports the quota and the window of each limit. draft-ietf-httpapi-ratelimit-headers
/// defines this field.
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// The name of the field that reports how many requests a window allows. draft-ietf-httpapi-ratelimit-headers defines
/// this field up to revision 06. This crate reads this field but never writes it.
pub const RATELIMIT_LIMIT: &str = "ratelimit-limit";
/// The name of the field that reports how many requests remain. draft-ietf-httpapi-ratelimit-headers defines this field
/// up to revision 06. This crate reads this field but never writes it.
pub const RATELIMIT_REMAINING: &str = "ratelimit-remaining";
/// The name of the field that reports the time until the reset, in seconds. draft-ietf-httpapi-ratelimit-headers
/// defines this field up to revision 06. This crate reads this field but never writes it.
pub const RATELIMIT_RESET: &str = "ratelimit-reset";
