//! Decisions in memory while the store is silent and the failure mode is `local`, or while it is overloaded, busy or full.

use smallvec::SmallVec;

use crate::{
    Algorithm, MemoryStore, Quota,
    store::{BucketRequest, Operation, Receipt, Verdict},
};

/// A share with more units than this is counted by the approximate `sliding_window_counter`, unless the guard's failure mode is
/// [`OnError::Local`](crate::OnError::Local): every admission of the store is mirrored, and a log of 64 units takes a kilobyte.
const MAX_EXACT_LOG: u32 = 64;

/// This process's share of each quota, with a mirror of what the store has admitted of late.
pub(super) struct Local {
    store: MemoryStore,
    replicas: u32,
    /// Logs are kept as logs, however large they are. The same for all requests, so that a bucket has one algorithm.
    is_exact: bool,
}

impl Local {
    pub(super) fn new(replicas: u32, is_exact: bool) -> Self {
        Self { store: MemoryStore::new(), replicas: replicas.max(1), is_exact }
    }

    /// The charge under this process's share of its quota. Its cost is reduced to the maximum of the share.
    pub(super) fn share<'a>(&self, charge: &BucketRequest<'a>) -> BucketRequest<'a> {
        // A ban holds in full in every process.
        let quota = if charge.check_only { charge.quota } else { self.share_of(charge.quota) };
        let mut share = *charge;
        share.quota = quota;
        // A cost above the maximum of the quota stays above that of the share.
        share.cost = if charge.cost <= charge.quota.max_cost() {
            charge.cost.min(quota.max_cost())
        } else {
            charge.cost.max(quota.max_cost().saturating_add(1))
        };
        share
    }

    pub(super) fn apply(&self, operation: Operation, shares: &[BucketRequest<'_>]) -> Verdict {
        self.store.apply_now(operation, shares)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn keys(&self) -> usize {
        self.store.keys()
    }

    /// The units, reduced to the maximum cost of this process's share of the quota.
    pub(super) fn clamp_to_share(&self, quota: Quota, units: u32) -> u32 {
        units.min(self.share_of(quota).max_cost())
    }

    fn share_of(&self, quota: Quota) -> Quota {
        let share = share(quota, self.replicas);
        let is_exact = self.is_exact
            || share.algorithm() != Algorithm::SlidingWindow
            || share.capacity() <= MAX_EXACT_LOG;
        if is_exact {
            return share;
        }
        share.with_algorithm(Algorithm::SlidingWindowCounter).unwrap_or(share)
    }

    /// Takes what the store has admitted from the share, where it has room, so that local decisions do not start from nothing. Returns
    /// a receipt for each charge that was mirrored.
    pub(super) fn mirror(&self, charges: &[BucketRequest<'_>]) -> MirroredReceipts {
        let take = |charge: &BucketRequest<'_>| {
            if charge.taken() == 0 {
                return None;
            }
            let mut share = self.share(charge);
            let mut verdict = self.apply(Operation::Check, &[share]);
            let left = verdict.levels().next().map_or(0, |level| level.remaining);
            if !verdict.is_allowed() && left > 0 {
                // What is left of the share is used up.
                share.cost = left.min(share.cost);
                verdict = self.apply(Operation::Check, &[share]);
            }
            verdict.receipts().next().filter(|_| verdict.is_allowed())
        };
        charges.iter().map(take).collect()
    }

    /// Mirrors a refund or a reset.
    pub(super) fn mirror_undo(&self, operation: Operation, charges: &[BucketRequest<'_>]) {
        let shares: SmallVec<[BucketRequest<'_>; 1]> = charges
            .iter()
            .map(|charge| {
                let mut share = self.share(charge);
                share.cost = charge.cost;
                share
            })
            .collect();
        if !shares.is_empty() {
            self.apply(operation, &shares);
        }
    }
}

/// For each charge, the receipt of what was mirrored, if it was.
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
    fn shares_are_no_more_than_the_whole_and_at_least_one() {
        for (validate_reply, replicas, part) in [
            ("100/minute", 1, "100/minute"),
            ("100/minute", 3, "33/minute"),
            ("2/minute", 3, "1/minute"),
            ("7/second fixed_window", 2, "3/second fixed_window"),
            ("100/second token_bucket burst 20", 4, "25/second token_bucket burst 5"),
            ("10/second sliding_window_counter", 4, "2/second sliding_window_counter"),
        ] {
            assert_eq!(
                share(validate_reply.parse().unwrap(), replicas),
                part.parse().unwrap(),
                "{validate_reply}"
            );
        }
    }
}
