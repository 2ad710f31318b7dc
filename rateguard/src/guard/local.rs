//! Deciding in memory while the store does not answer.

use smallvec::SmallVec;

use crate::{
    MemoryStore, Quota,
    store::{Charge, Operation, Receipt, Verdict},
};

/// This process's share of the limits, and what it has seen of late.
pub(super) struct Local {
    store: MemoryStore,
    replicas: u32,
}

impl Local {
    pub(super) fn new(replicas: u32) -> Self {
        Self { store: MemoryStore::new(), replicas: replicas.max(1) }
    }

    /// The charge under this process's share of its quota, of which no more is asked than it ever has.
    pub(super) fn share<'a>(&self, charge: &Charge<'a>) -> Charge<'a> {
        // A ban is no quota to be shared.
        let quota = if charge.is_gate { charge.quota } else { share(charge.quota, self.replicas) };
        let mut share = *charge;
        share.quota = quota;
        // What never has room has none here, either.
        if charge.cost <= charge.quota.max_cost() {
            share.cost = charge.cost.min(quota.max_cost());
        }
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
    pub(super) fn cut(&self, quota: Quota, units: u32) -> u32 {
        units.min(share(quota, self.replicas).max_cost())
    }

    /// Takes what the store has admitted, as far as there is room for it here, so that nobody begins anew when it goes. Says
    /// what is needed to give it back.
    pub(super) fn follow(&self, charges: &[Charge<'_>]) -> Followed {
        let take = |charge: &Charge<'_>| {
            if charge.taken() == 0 {
                return None;
            }
            let verdict = self.apply(Operation::Check, &[self.share(charge)]);
            verdict.receipts().next().filter(|_| verdict.is_allowed())
        };
        charges.iter().map(take).collect()
    }

    /// Gives back here what the store has given back, or forgets what it has forgotten.
    pub(super) fn undo(&self, operation: Operation, charges: &[Charge<'_>]) {
        let shares: SmallVec<[Charge<'_>; 1]> = charges
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

/// Of each charge, what is needed to give back what was taken here, if anything was.
pub(super) type Followed = SmallVec<[Option<Receipt>; 1]>;

/// A part of the quota, rounded down, but at least one at once.
fn share(quota: Quota, replicas: u32) -> Quota {
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
