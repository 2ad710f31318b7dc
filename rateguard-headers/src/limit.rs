//! Defines a limit that a server reports.

use std::time::Duration;

/// A limit that a server reports. A client reads a limit as a [`ParsedLimit`](crate::ParsedLimit), in which values can
/// be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    /// The name of the policy. The server percent-encodes control characters in the name. A client that reads the name
    /// with [`RateLimits`](crate::RateLimits) gets these characters in their encoded form, because control characters
    /// are not safe in a log.
    pub policy: &'a str,
    /// The number of units that the limit admits in a window. Usually, a unit is a request.
    pub quota: u64,
    /// The duration of the window.
    pub window: Duration,
    /// The number of units that the limit still admits.
    pub remaining: u64,
    /// The time until the limit admits more units.
    pub reset_after: Duration,
    /// Whether the limit counts the requests that the server processes at the same time. Such a limit has no window, and
    /// nobody knows when it admits more requests, so the server reports neither `window` nor `reset_after`.
    pub is_concurrent: bool,
}
