//! A limit that a server reports.

use std::time::Duration;

/// A limit that a server reports. A client reads a [`ParsedLimit`](crate::ParsedLimit), which can be incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    /// The name of the policy. Control characters are percent-encoded, and a client does not decode them.
    pub policy: &'a str,
    /// The number of units in a window; usually requests.
    pub quota: u64,
    /// The length of the window.
    pub window: Duration,
    /// The number of units that are still admitted.
    pub remaining: u64,
    /// The time until more units are admitted.
    pub reset_after: Duration,
}
