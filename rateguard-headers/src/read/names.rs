//! The names of fields that only a client reads.

/// The time at which the response was generated (RFC 9110, section 6.6.1).
pub(super) const DATE: &str = "date";
/// The number of seconds for which caches have stored the response (RFC 9111, section 5.1).
pub(super) const AGE: &str = "age";
