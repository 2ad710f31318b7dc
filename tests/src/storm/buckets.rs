//! Reconstructs the history of each bucket from the calls that the servers recorded.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::store::Operation;

use super::{
    evidence::StoreEvents,
    execution_bounds::ExecutionBounds,
    history::{Bucket, StoreCall},
    permits::{Hold, has_permits, holds},
};

/// The checks that took units, or may have taken units, from one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketHistory {
    /// The checks that took units and that the store confirmed with a reply, sorted by time.
    pub takes: Vec<Take>,
    /// The checks without a reply, sorted by the earliest time at which the store can have executed them.
    pub uncertain: Vec<UncertainTake>,
    /// The permits and the leases of the bucket.
    pub holds: Vec<Hold>,
}

/// Units that an admitted check took from a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// The time at which the store took the units, on the store's clock.
    pub at: u64,
    /// The number of units that the check took.
    pub units: u64,
    /// The time at which more of the bucket becomes free, as the store reported it. For a fixed window, this is the
    /// end of the window.
    pub free_at: u64,
    /// The refunds that return these units.
    pub refunds: Vec<Refund>,
}

/// A refund that the store confirmed, or to which the store did not reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    units: u64,
    /// The earliest time at which the store can have executed the refund.
    from: u64,
    /// The latest time at which the store can have executed the refund; `u64::MAX` if there is no reply.
    until: u64,
}

impl Take {
    /// Returns the minimum number of these units that still count at `time`. For this minimum, each refund is assumed
    /// to happen at its earliest time.
    #[must_use]
    pub fn min_units(&self, time: u64) -> u64 {
        self.without(|refund| refund.from <= time)
    }

    /// Returns the maximum number of these units that still count at `time`. For this maximum, each refund is assumed
    /// to happen at its latest time.
    #[must_use]
    pub fn max_units(&self, time: u64) -> u64 {
        self.without(|refund| refund.until < time)
    }

    fn without(&self, is_refunded: impl Fn(&Refund) -> bool) -> u64 {
        let refunded = self.refunds.iter().filter(|it| is_refunded(it)).map(|it| it.units);
        self.units.saturating_sub(refunded.sum())
    }
}

/// Units that the store may have taken for a check to which it did not reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncertainTake {
    /// The earliest time at which the store can have executed the check.
    pub from: u64,
    /// The latest time at which the store can have executed the check; `u64::MAX` if there is no latest time.
    pub until: u64,
    /// The number of units that the check may have taken.
    pub units: u64,
}

/// Reconstructs the histories of all buckets. `servers` has the calls of each server, in any order. `deadline` is
/// the deadline of the calls. `events` has the failovers, which can lose refunds.
#[must_use]
pub fn bucket_histories(
    servers: &[Vec<StoreCall>],
    deadline: Duration,
    events: &StoreEvents,
) -> BTreeMap<Bucket, BucketHistory> {
    let mut bucket_histories: BTreeMap<Bucket, BucketHistory> = BTreeMap::new();
    // Maps the receipt and the bucket of each take to the index of the take. A receipt is the unique id of a call
    // of the store. A refund contains the receipt of the check whose units it returns.
    let mut indexes: BTreeMap<((u64, u64), Bucket), usize> = BTreeMap::new();
    for calls in servers {
        let bounds = ExecutionBounds::of(calls, deadline);
        for call in calls.iter().filter(|call| call.operation == Operation::Check) {
            for part in call.parts.iter().filter(|part| !has_permits(part.bucket)) {
                let history = bucket_histories.entry(part.bucket).or_default();
                let units = part.cost.into();
                match call.reply {
                    Some(reply) if reply.is_allowed => {
                        indexes.insert((reply.receipt, part.bucket), history.takes.len());
                        history.takes.push(Take {
                            at: reply.at,
                            units,
                            free_at: reply.at + part.reset_after,
                            refunds: Vec::new(),
                        });
                    }
                    Some(_) => {}
                    None => {
                        let until = bounds.latest_execution(call);
                        history.uncertain.push(UncertainTake { from: call.began, until, units });
                    }
                }
            }
        }
    }
    let refunds = servers.iter().flatten().filter(|call| call.operation == Operation::Refund);
    for call in refunds {
        for part in &call.parts {
            let index = indexes.get(&(part.refund_of, part.bucket));
            let history = bucket_histories.get_mut(&part.bucket);
            let take =
                history.zip(index).and_then(|(history, index)| history.takes.get_mut(*index));
            if let Some(take) = take {
                let (from, until) = match call.reply.map(|reply| reply.at) {
                    Some(at) if events.may_lose(at) => (at, u64::MAX),
                    Some(at) => (at, at),
                    None => (call.began, u64::MAX),
                };
                take.refunds.push(Refund { units: part.cost.into(), from, until });
            }
        }
    }
    for (bucket, holds) in holds(servers, deadline, events) {
        bucket_histories.entry(bucket).or_default().holds = holds;
    }
    for history in bucket_histories.values_mut() {
        history.takes.sort_by_key(|take| take.at);
        history.uncertain.sort_by_key(|take| take.from);
    }
    bucket_histories
}
