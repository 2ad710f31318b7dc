//! Defines the status of a bucket, which is the count of one key under one quota.

use std::time::Duration;

/// The status of a bucket after the store has applied an operation to it, such as a check or a refund.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketStatus {
    /// The number of units that the bucket would admit now. By default, a request costs one unit.
    pub remaining: u32,
    /// The time until `remaining` grows by one unit, if no other request takes units. The time is zero if the
    /// bucket counts no units now.
    pub reset_after: Duration,
    /// The time until the bucket has room for the cost of the request. After an admitted check, this is the time until
    /// the bucket has room for the same cost again. The time is zero if the bucket has room now. The value is `None` if
    /// the cost is above the quota's [`max_cost`](crate::Quota::max_cost).
    pub retry_after: Option<Duration>,
}
