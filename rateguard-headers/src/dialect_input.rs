//! The interface between the decision of a limiter and the dialects that report it.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::Limit;

/// The decision that a dialect reports. An adapter for a limiter implements it, so that the
/// [dialects](crate::HeaderDialect) do not depend on the types of the limiter.
///
/// Dialects that report one limit use [`limit`](Self::limit), [`remaining`](Self::remaining) and
/// [`reset_after`](Self::reset_after), of the tightest limit. Dialects that report several limits use
/// [`limits`](Self::limits) and [`reported_limits`](Self::reported_limits). A dialect calls only the methods that it
/// needs.
pub trait DialectInput {
    /// The maximum number of units in a burst, of the tightest limit.
    fn limit(&self) -> u64;

    /// The number of units that the tightest limit still admits.
    fn remaining(&self) -> u64;

    /// The time until the tightest limit admits more units.
    fn reset_after(&self) -> Duration;

    /// The server's clock, for resets as a point in time. Default: [`SystemTime::now`].
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// All limits that apply to the request.
    fn limits(&self) -> impl Iterator<Item = Limit<'_>>;

    /// The limits whose remaining units and reset the response reports, in the order of [`limits`](Self::limits). For a
    /// denial, these are the limits that denied the request.
    fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>>;
}

/// The value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A number, in decimal. It is not formatted yet, so that a framework can do so without an additional allocation.
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
