//! Defines the status of one quota after a decision, such as the number of remaining units.

use std::{cmp::Ordering, time::Duration};

use crate::{Quota, bucket_status::BucketStatus, policy::PolicyName, store::BucketRequest};

/// The status of one quota after a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaStatus {
    policy: PolicyName,
    /// The index of the quota's limit in the request.
    limit: u32,
    /// The index of the quota in its policy.
    index: u32,
    quota: Quota,
    cost: u32,
    remaining: u32,
    reset_after: Duration,
    retry_after: Option<Duration>,
}

impl QuotaStatus {
    pub(crate) fn new(
        policy: PolicyName,
        request: &BucketRequest<'_>,
        status: BucketStatus,
    ) -> Self {
        let BucketStatus { remaining, mut reset_after, mut retry_after } = status;
        if request.quota.algorithm().has_permits() {
            // A store only knows when the leases end, but the holders renew them until their requests end. So the guard
            // does not know when a permit will be free.
            reset_after = Duration::ZERO;
            retry_after = retry_after.filter(Duration::is_zero);
        }
        let BucketRequest { bucket, quota, cost, .. } = *request;
        let index = bucket.index() as u32;
        Self { policy, limit: 0, index, quota, cost, remaining, reset_after, retry_after }
    }

    /// Returns the name that clients see for the quota. It is the public name of the policy, followed by `{2}` for
    /// the second quota of the policy, `{3}` for the third, and so on.
    #[doc(hidden)]
    pub fn public_name(&self) -> String {
        match self.index {
            0 => self.policy.public().to_owned(),
            index => format!("{}{{{}}}", self.policy.public(), index + 1),
        }
    }

    /// Returns the same status for a quota of the limit that has this index in the request.
    pub(crate) fn of_limit(self, index: usize) -> Self {
        Self { limit: index as u32, ..self }
    }

    /// Returns the same status for a request of this cost, which will have room after `wait`.
    pub(crate) fn with_wait(self, cost: u32, wait: Option<Duration>) -> Self {
        Self { cost, retry_after: wait, ..self }
    }

    /// Returns the same status, whose durations are shorter by the time since the decision.
    pub(crate) fn repeated_after(self, elapsed: Duration) -> Self {
        let reset_after = self.reset_after.saturating_sub(elapsed);
        let retry_after = self.retry_after.map(|wait| wait.saturating_sub(elapsed));
        Self { reset_after, retry_after, ..self }
    }

    /// Returns the numbers of this status.
    pub(crate) fn bucket_status(&self) -> BucketStatus {
        let Self { remaining, reset_after, retry_after, .. } = *self;
        BucketStatus { remaining, reset_after, retry_after }
    }

    /// Returns the index of the quota's limit in the request.
    #[doc(hidden)]
    pub fn limit_index(&self) -> usize {
        self.limit as usize
    }

    /// Returns the index of the quota in its policy, from 0.
    #[doc(hidden)]
    pub fn quota_index(&self) -> usize {
        self.index as usize
    }

    pub(crate) fn name(&self) -> &PolicyName {
        &self.policy
    }

    /// Returns the name of the policy that has the quota.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.name().as_str()
    }

    /// Returns the quota to which this status belongs.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Returns the cost of the request in units. After a refund or a debit, returns the number of units that were
    /// refunded or debited.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// Returns the maximum number of units that the quota admits at one moment: its limit, or the burst of a token
    /// bucket.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.quota.capacity()
    }

    /// Returns the number of units that the quota would admit now.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    /// Returns the time until [`remaining`](Self::remaining) grows by one unit, if no other request takes units.
    /// The time is zero if the quota counts no units now, and for a limit on the requests in progress, because nobody
    /// knows when the next of these requests ends.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.reset_after
    }

    /// Returns the time until the quota has room for one more request of the same cost. The time is zero if the quota
    /// has room now. The result is `None` in two cases: the cost is above the [`max_cost`](Quota::max_cost) of the
    /// quota, which then never has room, or the quota limits the [requests in
    /// progress](crate::Algorithm::Concurrency) and all permits are held, so the wait is unknown.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the number of permits that requests in progress hold. The result is `None` if the quota limits a rate.
    #[must_use]
    pub fn held_permits(&self) -> Option<u32> {
        let has_permits = self.quota.algorithm().has_permits();
        has_permits.then(|| self.limit().saturating_sub(self.remaining))
    }

    /// Returns whether no permit is free for the request. The result is false if the quota limits a rate.
    #[must_use]
    pub fn lacks_permit(&self) -> bool {
        self.quota.algorithm().has_permits() && self.retry_after.is_none()
    }

    /// Compares how tight two quotas are. The tighter quota is `Less` than the other quota.
    ///
    /// The tighter quota is the one with the longer wait until it has room for the request. If the waits are equal,
    /// it is the quota that admits fewer further requests of the same cost. If these numbers are also equal, it is
    /// the quota with the later reset.
    pub(crate) fn tightness(&self, other: &Self) -> Ordering {
        let wait = |status: &Self| status.retry_after.unwrap_or(Duration::MAX);
        let further_requests = |status: &Self| status.remaining / status.cost.max(1);
        wait(other)
            .cmp(&wait(self))
            .then(further_requests(self).cmp(&further_requests(other)))
            .then(other.reset_after.cmp(&self.reset_after))
    }
}
