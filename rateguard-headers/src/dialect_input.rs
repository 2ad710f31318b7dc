//! Defines the interface between a limiter and the dialects (sets of header fields) in which a server reports the
//! decisions of the limiter.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use crate::Limit;

/// Describes a decision to a dialect. An adapter for a limiter implements this trait, so the
/// [dialects](crate::HeaderDialect) do not depend on the types of the limiter.
///
/// A dialect that reports one limit reports the tightest limit: [`limit`](Self::limit),
/// [`remaining`](Self::remaining) and [`reset_after`](Self::reset_after). A dialect that reports several limits
/// uses [`limits`](Self::limits) and [`reported_limits`](Self::reported_limits). A dialect calls only the methods
/// that it needs.
pub trait DialectInput {
    /// Returns the maximum number of units that the tightest limit admits at one moment.
    fn limit(&self) -> u64;

    /// Returns the number of units that the tightest limit still admits.
    fn remaining(&self) -> u64;

    /// Returns the time until the tightest limit admits more units.
    fn reset_after(&self) -> Duration;

    /// Returns the current time of the server. Some dialects need this time, because they report the reset as a point
    /// in time. Default: [`SystemTime::now`].
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Returns all limits that apply to the request.
    fn limits(&self) -> impl Iterator<Item = Limit<'_>>;

    /// Returns the limits for which the response reports the remaining units and the reset, in the order of
    /// [`limits`](Self::limits). For a denial, these are the limits that denied the request.
    fn reported_limits(&self) -> impl Iterator<Item = Limit<'_>>;
}

/// The value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A number, which is written in decimal. A framework can format the number without an additional allocation.
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
