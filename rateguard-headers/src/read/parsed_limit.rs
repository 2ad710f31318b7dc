//! Defines a limit that a client reads from a response.

use std::time::Duration;

use super::QuotaUnit;

/// A limit that a client reads from a response. Every value is optional, because most dialects do not contain all
/// values, and servers can omit values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedLimit {
    pub(crate) policy: Option<String>,
    pub(crate) quota: Option<u64>,
    pub(crate) unit: QuotaUnit,
    pub(crate) window: Option<Duration>,
    pub(crate) remaining: Option<u64>,
    pub(crate) reset_after: Option<Duration>,
}

impl ParsedLimit {
    /// Returns the name of the policy. The name has no control characters, so it is safe in a log.
    #[must_use]
    pub fn policy(&self) -> Option<&str> {
        self.policy.as_deref()
    }

    /// Returns the number of [units](Self::unit) that the limit admits in a window.
    #[must_use]
    pub fn quota(&self) -> Option<u64> {
        self.quota
    }

    /// Returns the unit of [`quota`](Self::quota) and [`remaining`](Self::remaining). The unit is the parameter `qu` in
    /// `RateLimit-Policy`. If the response does not name a unit, the unit is a request. Only
    /// draft-ietf-httpapi-ratelimit-headers has names for units. With any other dialect, a server cannot report that it
    /// counts something other than requests.
    #[must_use]
    pub fn unit(&self) -> &QuotaUnit {
        &self.unit
    }

    /// Returns the duration of the window.
    #[must_use]
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// Returns the number of units that the limit still admitted when the server created the response.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Returns the time from the response until the limit admits more units. The time is at most
    /// [`MAX_WAIT`](crate::MAX_WAIT).
    #[must_use]
    pub fn reset_after(&self) -> Option<Duration> {
        self.reset_after
    }
}
