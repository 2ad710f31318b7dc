//! How a bucket stands.

use std::time::Duration;

/// How a bucket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How many more units it would admit at this moment.
    pub remaining: u32,
    /// How long it takes until it admits one more than that, if nobody takes any; zero if all of it is there.
    pub reset_after: Duration,
    /// How long it takes until it has room for the charge's cost, or for as much once more if that was just taken; zero
    /// if it has already. `None` if the cost is above the quota's
    /// [`max_cost`](crate::Quota::max_cost).
    pub retry_after: Option<Duration>,
}
