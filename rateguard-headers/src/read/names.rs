//! Defines the names of fields that only a client reads.

/// The field for the time at which the server generated the response (RFC 9110, section 6.6.1).
pub(super) const DATE: &str = "date";
/// The field for the age of a cached response in seconds, which is the time since the server generated or validated
/// the response (RFC 9111, section 5.1).
pub(super) const AGE: &str = "age";
