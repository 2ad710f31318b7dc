//! The local fallback decides in this process's memory. The guard uses it in two cases: the store is down and the
//! failure mode is `local`, or the store is overloaded, busy or full.

use smallvec::SmallVec;

use crate::{
    Algorithm, MemoryStore, Quota,
    store::{BucketRequest, Operation, Receipt, Verdict},
};

/// The maximum capacity of a share that is counted with an exact sliding-window log. A share is the part of a quota
/// that this process may use when it decides in memory. For a larger share, the approximate `sliding_window_counter`
/// replaces the log. This saves memory, because the guard counts every admitted request in memory and a log of 64
/// units takes 1 kB. If the failure mode of the guard is [`OnError::Local`](crate::OnError::Local), all shares are
/// counted exactly.
const MAX_EXACT_LOG: u32 = 64;

/// Counts requests in this process's memory against this process's share of each quota. It also counts the requests
/// that the store admits, so that the counts are up to date when the store fails.
pub(super) struct LocalFallback {
    pub(super) store: MemoryStore,
    replicas: u32,
    /// Whether even large shares are counted with an exact sliding-window log. The value never changes, so a bucket
    /// always has the same algorithm.
    is_exact: bool,
}

impl LocalFallback {
    pub(super) fn new(replicas: u32, is_exact: bool) -> Self {
        Self { store: MemoryStore::new(), replicas, is_exact }
    }

    /// Returns the bucket request for this process's share of the quota. A cost that is valid for the whole quota is
    /// reduced to the maximum cost of the share.
    pub(super) fn share<'a>(&self, request: &BucketRequest<'a>) -> BucketRequest<'a> {
        // A bucket with a rate that is only read belongs to a ban. A ban has the same duration in every process, so the quota of
        // this bucket is not divided among the processes.
        let has_permits = request.quota.algorithm().has_permits();
        let is_of_ban = request.check_only && !has_permits;
        let quota = if is_of_ban { request.quota } else { self.share_of(request.quota) };
        let mut share = *request;
        share.quota = quota;
        // The memory of this process ends together with the holders of its permits, so these permits need no lease.
        share.without_lease = has_permits;
        // If the cost is above the maximum cost of the whole quota, the request must always be denied. So its cost
        // must also be above the maximum cost of the share.
        share.cost = if request.cost <= request.quota.max_cost() {
            request.cost.min(quota.max_cost())
        } else {
            request.cost.max(quota.max_cost().saturating_add(1))
        };
        share
    }

    pub(super) fn apply(&self, operation: Operation, shares: &[BucketRequest<'_>]) -> Verdict {
        self.store.apply_now(operation, shares)
    }

    /// Reduces the number of units to at most the maximum cost of this process's share of the quota.
    pub(super) fn clamp_to_share(&self, quota: Quota, units: u32) -> u32 {
        units.min(self.share_of(quota).max_cost())
    }

    fn share_of(&self, quota: Quota) -> Quota {
        let share = share(quota, self.replicas);
        let is_exact = self.is_exact
            || !share.algorithm().is_log()
            || share.algorithm().has_permits()
            || share.capacity() <= MAX_EXACT_LOG;
        if is_exact {
            return share;
        }
        share.with_algorithm(Algorithm::SlidingWindowCounter).unwrap_or(share)
    }

    /// Takes units in this process's memory after the store has taken them. If this process's share of the quota has
    /// too little room, only the units that are left in the share are taken. So the counts for local decisions do not
    /// start from zero if the store fails later. For each bucket request, returns the receipt that a refund of these
    /// units needs, or `None` if no units were taken.
    pub(super) fn mirror(&self, requests: &[BucketRequest<'_>]) -> MirroredReceipts {
        let take = |request: &BucketRequest<'_>| match request.taken() {
            0 => None,
            _ => self.store.take_available(&self.share(request)),
        };
        requests.iter().map(take).collect()
    }

    /// Repeats a refund or a reset in this process's memory after the store has completed the operation.
    pub(super) fn mirror_undo(&self, operation: Operation, requests: &[BucketRequest<'_>]) {
        let shares: SmallVec<[BucketRequest<'_>; 1]> = requests
            .iter()
            .map(|request| {
                let mut share = self.share(request);
                share.cost = request.cost;
                share
            })
            .collect();
        if !shares.is_empty() {
            self.apply(operation, &shares);
        }
    }
}

/// The receipts for units that were also counted in this process's memory, one for each bucket request. `None` if no
/// units of the bucket request were counted.
pub(super) type MirroredReceipts = SmallVec<[Option<Receipt>; 1]>;

/// Divides the limit and the burst of a quota by the number of processes. The results are rounded down, but are at
/// least 1.
fn share(quota: Quota, replicas: u32) -> Quota {
    if replicas == 1 {
        return quota;
    }
    let part = |number: u32| (number / replicas).max(1);
    if let Some(period) = quota.calendar_period() {
        return Quota::calendar(part(quota.limit()), period).unwrap_or(quota);
    }
    let share = Quota::new(part(quota.limit()), quota.window())
        .and_then(|share| share.with_algorithm(quota.algorithm()))
        .and_then(|share| {
            if quota.capacity() == quota.limit() {
                Ok(share)
            } else {
                share.with_burst(part(quota.capacity()))
            }
        });
    // If a token bucket cannot count the share exactly, the whole quota is used as the share.
    share.unwrap_or(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_rounded_down_but_at_least_one() {
        for (quota, replicas, expected) in [
            ("100/minute", 1, "100/minute"),
            ("100/minute", 3, "33/minute"),
            ("2/minute", 3, "1/minute"),
            ("7/second fixed_window", 2, "3/second fixed_window"),
            ("100/second token_bucket burst 20", 4, "25/second token_bucket burst 5"),
            ("10/second sliding_window_counter", 4, "2/second sliding_window_counter"),
            ("10 concurrent lease 30s", 4, "2 concurrent lease 30s"),
        ] {
            let share = share(quota.parse().unwrap(), replicas);
            assert_eq!(share, expected.parse().unwrap(), "{quota}");
        }
    }

    #[cfg(feature = "calendar")]
    #[test]
    fn share_of_a_calendar_quota_has_the_same_period() {
        let quota = "1000/calendar day Europe/Berlin".parse().unwrap();
        assert_eq!(share(quota, 3), "333/calendar day Europe/Berlin".parse().unwrap());
    }
}
