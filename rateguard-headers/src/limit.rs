//! What a server tells about one limit.

use std::time::Duration;

/// What a server tells about one limit. It knows all of it; what a client is told is a [`ToldLimit`](crate::ToldLimit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit<'a> {
    /// The name of the policy. Control characters in it are not read back as such.
    pub policy: &'a str,
    /// How many units a window admits; requests, if nothing else is said elsewhere.
    pub quota: u64,
    /// The length of the window.
    pub window: Duration,
    /// How many more units are admitted at this moment.
    pub remaining: u64,
    /// How long it is until more are admitted.
    pub reset_after: Duration,
}
