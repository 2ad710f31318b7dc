//! The local fallback: decisions in memory while the store is down and the failure mode is `local`, or while it is
//! overloaded, busy or full.

use smallvec::SmallVec;

use crate::{
    Algorithm, MemoryStore, Quota,
    store::{BucketRequest, Operation, Receipt, Verdict},
};

/// The maximum capacity of a share that is counted by an exact log. Larger shares are counted by the approximate
/// `sliding_window_counter`, because every admission of the store is mirrored and a log of 64 units takes 1 kB. If the
/// failure mode of the guard is [`OnError::Local`](crate::OnError::Local), all shares are counted exactly.
const MAX_EXACT_LOG: u32 = 64;

/// This process's share of each quota, with a mirror of the latest admissions of the store.
pub(super) struct LocalFallback {
    store: MemoryStore,
    replicas: u32,
    /// Whether all shares are counted exactly. The same for all requests, so that a bucket has one algorithm.
    is_exact: bool,
}

impl LocalFallback {
    pub(super) fn new(replicas: u32, is_exact: bool) -> Self {
        Self { store: MemoryStore::new(), replicas: replicas.max(1), is_exact }
    }

    /// The bucket request under this process's share of its quota. Its cost is reduced to the maximum of the share.
    pub(super) fn share<'a>(&self, request: &BucketRequest<'a>) -> BucketRequest<'a> {
        // Check-only requests are for bans, which apply in full in every process.
        let quota = if request.check_only { request.quota } else { self.share_of(request.quota) };
        let mut share = *request;
        share.quota = quota;
        // A cost above the maximum of the quota must also be denied by the share.
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

    #[cfg(feature = "metrics")]
    pub(super) fn keys(&self) -> usize {
        crate::store::InProcess::keys(&self.store)
    }

    /// The units, reduced to the maximum cost of this process's share of the quota.
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

    /// Takes the units that the store has admitted from the share, as far as it has room, so that local decisions do
    /// not start from nothing. Returns a receipt for each bucket request that was mirrored.
    pub(super) fn mirror(&self, requests: &[BucketRequest<'_>]) -> MirroredReceipts {
        let take = |request: &BucketRequest<'_>| {
            if request.taken() == 0 {
                return None;
            }
            let mut share = self.share(request);
            let mut verdict = self.apply(Operation::Check, &[share]);
            let left = verdict.statuses().next().map_or(0, |status| status.remaining);
            if !verdict.is_allowed() && left > 0 {
                // The share has less room than the cost, so the rest of the share is taken.
                share.cost = left.min(share.cost);
                verdict = self.apply(Operation::Check, &[share]);
            }
            verdict.receipts().next().filter(|_| verdict.is_allowed())
        };
        requests.iter().map(take).collect()
    }

    /// Mirrors a refund or a reset.
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

/// The receipt of each bucket request; `None` if it was not mirrored.
pub(super) type MirroredReceipts = SmallVec<[Option<Receipt>; 1]>;

/// Limit and burst divided by `replicas`, rounded down, but at least 1.
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
    // A share that a token bucket cannot count exactly is replaced by the whole quota.
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
