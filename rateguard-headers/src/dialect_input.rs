//! Defines the interface between a limiter and the dialects (sets of header fields) in which a server reports the
//! decisions of the limiter.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::Limit;

/// Describes a decision of a rate limiter to a [dialect](crate::HeaderDialect). An adapter for a rate limiter
/// implements this trait, so the dialects do not depend on the types of the limiter.
///
/// Some dialects report only the tightest limit. They call [`limit`](Self::limit), [`remaining`](Self::remaining) and
/// [`reset_after`](Self::reset_after). A dialect that reports several limits calls [`limits`](Self::limits) and
/// [`reported_limits`](Self::reported_limits) instead.
pub trait DialectInput {
    /// Returns the maximum number of units that the tightest limit admits at one moment.
    fn limit(&self) -> u64;

    /// Returns the number of units that the tightest limit still admits.
    fn remaining(&self) -> u64;

    /// Returns the time until the tightest limit admits more units. The result is `None` if this time is unknown, because
    /// the limit counts the requests that the server processes at the same time.
    fn reset_after(&self) -> Option<Duration>;

    /// Returns the current time of the server. Some dialects need this time, because they report the reset as a point
    /// in time. Default: [`SystemTime::now`].
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Returns all limits that apply to the request.
    fn limits(&self) -> impl Iterator<Item = Limit<'_>>;

    /// Returns the limits for which the response reports the remaining units and the reset, in the order of
    /// [`limits`](Self::limits). For an admitted request, the method returns all limits. For a denied request, it
    /// returns only the limits that denied the request.
    fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>>;
}

/// The value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A number, which the server writes in decimal notation. With a number, a web framework can create the field
    /// without an intermediate `String`.
    Number(u64),
    /// Printable ASCII text.
    Text(String),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
