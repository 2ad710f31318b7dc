//! The local fallback decides in memory while the store is down and the failure mode is `local`, or while the store is
//! overloaded, busy or full.

use smallvec::SmallVec;

use crate::{
    Algorithm, MemoryStore, Quota,
    store::{BucketRequest, Operation, Receipt, Verdict},
};

/// The maximum capacity of a share that an exact sliding-window log counts. The approximate `sliding_window_counter`
/// counts larger shares to save memory: the guard mirrors every admission, and a log of 64 units takes 1 kB. If the
/// failure mode of the guard is [`OnError::Local`](crate::OnError::Local), all shares are counted exactly.
const MAX_EXACT_LOG: u32 = 64;

/// Counts this process's share of each quota, and mirrors the latest admissions of the store.
pub(super) struct LocalFallback {
    pub(super) store: MemoryStore,
    replicas: u32,
    /// Whether exact logs count all shares. This value is the same for all requests, so a bucket always has the same
    /// algorithm.
    is_exact: bool,
}

impl LocalFallback {
    pub(super) fn new(replicas: u32, is_exact: bool) -> Self {
        Self { store: MemoryStore::new(), replicas, is_exact }
    }

    /// Returns the bucket request with this process's share of the quota, and with a cost of at most the maximum cost
    /// of the share.
    pub(super) fn share<'a>(&self, request: &BucketRequest<'a>) -> BucketRequest<'a> {
        // Buckets that are only read belong to bans. A ban applies in full in every process, so its quota is not
        // divided.
        let quota = if request.check_only { request.quota } else { self.share_of(request.quota) };
        let mut share = *request;
        share.quota = quota;
        // If the cost is above the maximum of the quota, the share must deny the request, too. So the cost stays above
        // the maximum of the share.
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

    /// Reduces the units to the maximum cost of this process's share of the quota.
    pub(super) fn clamp_to_share(&self, quota: Quota, units: u32) -> u32 {
        units.min(self.share_of(quota).max_cost())
    }

    fn share_of(&self, quota: Quota) -> Quota {
        let share = share(quota, self.replicas);
        let is_exact =
            self.is_exact || !share.algorithm().is_log() || share.capacity() <= MAX_EXACT_LOG;
        if is_exact {
            return share;
        }
        share.with_algorithm(Algorithm::SlidingWindowCounter).unwrap_or(share)
    }

    /// Takes units that the store has admitted also from the share in memory, as far as the share has room. Local
    /// decisions then start from these counts and not from zero. Returns a receipt for each mirrored bucket request.
    pub(super) fn mirror(&self, requests: &[BucketRequest<'_>]) -> MirroredReceipts {
        let take = |request: &BucketRequest<'_>| {
            if request.taken() == 0 {
                return None;
            }
            let mut share = self.share(request);
            let mut verdict = self.apply(Operation::Check, &[share]);
            let left = verdict.statuses().next().map_or(0, |status| status.remaining);
            if !verdict.is_allowed() && left > 0 {
                // The share has less room than the cost, so the guard takes the rest of the share.
                share.cost = left.min(share.cost);
                verdict = self.apply(Operation::Check, &[share]);
            }
            verdict.receipts().next().filter(|_| verdict.is_allowed())
        };
        requests.iter().map(take).collect()
    }

    /// Repeats a refund or a reset of the store in this process's memory.
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

/// The receipt of each bucket request. `None` if the bucket request was not mirrored.
pub(super) type MirroredReceipts = SmallVec<[Option<Receipt>; 1]>;

/// Divides the limit and the burst by `replicas`, rounded down to at least 1.
fn share(quota: Quota, replicas: u32) -> Quota {
    if replicas == 1 {
        return quota;
    }
    let part = |number: u32| (number / replicas).max(1);
    let share = Quota::new(part(quota.limit()), quota.window())
        .and_then(|share| share.with_algorithm(quota.algorithm()))
        .and_then(|share| {
            if quota.capacity() == quota.limit() {
                Ok(share)
            } else {
                share.with_burst(part(quota.capacity()))
            }
        });
    // If a token bucket cannot count the share exactly, the share is the whole quota.
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
        ] {
            let share = share(quota.parse().unwrap(), replicas);
            assert_eq!(share, expected.parse().unwrap(), "{quota}");
        }
    }
}
