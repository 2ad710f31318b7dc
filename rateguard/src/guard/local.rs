//! Decisions in memory while the store does not answer, or is late by our own congestion.

use smallvec::SmallVec;

use crate::{
    Algorithm, MemoryStore, OnError, Quota,
    store::{Charge, Operation, Receipt, Verdict},
};

/// Larger logs are kept as two counters unless the failure mode is [`OnError::Local`]: every check of the store is counted
/// here as well, and a log of this size takes a kilobyte.
const MAX_LOG: u32 = 64;

/// This process's share of the limits, and what the store has admitted of late.
pub(super) struct Local {
    store: MemoryStore,
    replicas: u32,
}

impl Local {
    pub(super) fn new(replicas: u32) -> Self {
        Self { store: MemoryStore::new(), replicas: replicas.max(1) }
    }

    /// The charge under this process's share of its quota, of which no more is asked than it ever has.
    pub(super) fn share<'a>(&self, charge: &Charge<'a>, on_error: OnError) -> Charge<'a> {
        // A ban is no quota to be shared.
        let quota =
            if charge.is_gate { charge.quota } else { self.share_of(charge.quota, on_error) };
        let mut share = *charge;
        share.quota = quota;
        // What never has room has none here, either.
        share.cost = if charge.cost <= charge.quota.max_cost() {
            charge.cost.min(quota.max_cost())
        } else {
            charge.cost.max(quota.max_cost().saturating_add(1))
        };
        share
    }

    pub(super) fn apply(&self, operation: Operation, shares: &[Charge<'_>]) -> Verdict {
        self.store.apply_now(operation, shares)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn keys(&self) -> usize {
        self.store.keys()
    }

    /// How much of so many units are asked of this process's share of the quota.
    pub(super) fn cut(&self, quota: Quota, units: u32, on_error: OnError) -> u32 {
        units.min(self.share_of(quota, on_error).max_cost())
    }

    fn share_of(&self, quota: Quota, on_error: OnError) -> Quota {
        let share = share(quota, self.replicas);
        let is_exact = on_error == OnError::Local
            || share.algorithm() != Algorithm::SlidingWindow
            || share.capacity() <= MAX_LOG;
        if is_exact {
            return share;
        }
        share.with_algorithm(Algorithm::SlidingWindowCounter).unwrap_or(share)
    }

    /// Takes what the store has admitted, as far as there is room for it here, so that nobody begins anew when it goes. Says
    /// what is needed to give it back.
    pub(super) fn follow(&self, charges: &[Charge<'_>], on_error: OnError) -> Followed {
        let take = |charge: &Charge<'_>| {
            if charge.taken() == 0 {
                return None;
            }
            let verdict = self.apply(Operation::Check, &[self.share(charge, on_error)]);
            verdict.receipts().next().filter(|_| verdict.is_allowed())
        };
        charges.iter().map(take).collect()
    }

    /// Gives back here what the store has given back, or forgets what it has forgotten.
    pub(super) fn undo(&self, operation: Operation, charges: &[Charge<'_>], on_error: OnError) {
        let shares: SmallVec<[Charge<'_>; 1]> = charges
            .iter()
            .map(|charge| {
                let mut share = self.share(charge, on_error);
                share.cost = charge.cost;
                share
            })
            .collect();
        if !shares.is_empty() {
            self.apply(operation, &shares);
        }
    }
}

/// Of each charge, what is needed to give back what was taken here, if anything was.
pub(super) type Followed = SmallVec<[Option<Receipt>; 1]>;

/// A part of the quota, rounded down, but at least one at once.
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
    // What a token bucket cannot count exactly is counted as it is.
    share.unwrap_or(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_no_more_than_the_whole_and_at_least_one() {
        for (whole, replicas, part) in [
            ("100/minute", 1, "100/minute"),
            ("100/minute", 3, "33/minute"),
            ("2/minute", 3, "1/minute"),
            ("7/second fixed_window", 2, "3/second fixed_window"),
            ("100/second token_bucket burst 20", 4, "25/second token_bucket burst 5"),
            ("10/second sliding_window_counter", 4, "2/second sliding_window_counter"),
        ] {
            assert_eq!(share(whole.parse().unwrap(), replicas), part.parse().unwrap(), "{whole}");
        }
    }
}
