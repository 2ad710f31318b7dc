//! The names of all fields, in lower case, as HTTP/2 has them and `HeaderName::from_static` wants them.

/// How long to wait, in seconds or as a date (RFC 9110, section 10.2.3): the only one that is a standard.
pub const RETRY_AFTER: &str = "retry-after";

/// How many requests a window admits. No standard; known from GitHub and many others.
pub const X_RATELIMIT_LIMIT: &str = "x-ratelimit-limit";
/// How many requests are left. No standard.
pub const X_RATELIMIT_REMAINING: &str = "x-ratelimit-remaining";
/// When quota comes back: in seconds from now or as a Unix time, as the server likes. No standard.
pub const X_RATELIMIT_RESET: &str = "x-ratelimit-reset";

/// How the limits stand (draft-ietf-httpapi-ratelimit-headers; with another syntax in its revision 07).
pub const RATELIMIT: &str = "ratelimit";
/// What the limits are (draft-ietf-httpapi-ratelimit-headers).
pub const RATELIMIT_POLICY: &str = "ratelimit-policy";

/// How many requests a window admits, up to revision 06 of the draft. It is read and not written.
pub const RATELIMIT_LIMIT: &str = "ratelimit-limit";
/// How many requests are left, up to revision 06 of the draft. It is read and not written.
pub const RATELIMIT_REMAINING: &str = "ratelimit-remaining";
/// When quota comes back, in seconds from now, up to revision 06 of the draft. It is read and not written.
pub const RATELIMIT_RESET: &str = "ratelimit-reset";

/// When the response was made (RFC 9110, section 6.6.1).
pub(crate) const DATE: &str = "date";
/// For how many seconds the response has been in caches (RFC 9111, section 5.1).
pub(crate) const AGE: &str = "age";
