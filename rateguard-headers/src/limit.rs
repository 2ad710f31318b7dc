//! Defines a limit that a server reports.

use std::time::Duration;

/// A limit that a server reports. The counterpart for a client is [`ParsedLimit`](crate::ParsedLimit), which can be
/// incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    /// The name of the policy. Control characters in the name are percent-encoded. [`RateLimits`](crate::RateLimits)
    /// does not decode these characters when it reads the name, because they are not safe in a log.
    pub policy: &'a str,
    /// The number of units that the limit admits in a window. Usually, a unit is a request.
    pub quota: u64,
    /// The duration of the window.
    pub window: Duration,
    /// The number of units that the limit still admits.
    pub remaining: u64,
    /// The time until the limit admits more units.
    pub reset_after: Duration,
}
