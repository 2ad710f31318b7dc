//! The status of a bucket.

use std::time::Duration;

/// The status of a bucket after an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketStatus {
    /// The number of units that the bucket would admit now.
    pub remaining: u32,
    /// The time until `remaining` grows by one unit, if no further units are taken. Zero if no units are counted.
    pub reset_after: Duration,
    /// The time until the bucket has room for the cost of the request. After an admitted check, the time until it has
    /// room for the same cost once more. Zero if it has room now. `None` if the cost is above the quota's
    /// [`max_cost`](crate::Quota::max_cost).
    pub retry_after: Option<Duration>,
}
