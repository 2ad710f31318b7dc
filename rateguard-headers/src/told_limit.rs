//! What a response told about one limit.

use std::time::Duration;

/// What a response told about one limit. No dialect tells everything, and servers leave out what they like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToldLimit {
    pub(crate) policy: Option<String>,
    pub(crate) quota: Option<u64>,
    pub(crate) window: Option<Duration>,
    pub(crate) remaining: Option<u64>,
    pub(crate) reset_after: Option<Duration>,
}

impl ToldLimit {
    /// The name of the policy. It has no control characters: it can stand in a log.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// How many units a window admits. Nearly always they are requests, but a server may count something else.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// The length of the window.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// How many more units were admitted when the response was made.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// How long it was until more are admitted, when the response was made; at most [`MAX_WAIT`](crate::MAX_WAIT).
    #[must_use]
    pub fn reset_after(&self) -> Option<Duration> {
        self.reset_after
    }
}
