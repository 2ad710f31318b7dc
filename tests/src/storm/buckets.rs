//! The history of each bucket, as far as the calls of the servers show what happened.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::store::Operation;

use super::history::{Bucket, StoreCall};

/// The takes from one bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketHistory {
    /// The confirmed takes, sorted by time.
    pub takes: Vec<Take>,
    /// The takes that the store may have executed without a reply, sorted by their earliest time.
    pub uncertain: Vec<UncertainTake>,
}

/// Units that an admitted check took from a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// When the store took the units, by the store's clock.
    pub at: u64,
    /// The number of units.
    pub units: u64,
    /// When more of the bucket is free, according to the store. For a fixed window, this is the end of the window.
    pub free_at: u64,
    /// Refunds of these units.
    pub refunds: Vec<Refund>,
}

/// A refund that the store confirmed, or a refund without a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    units: u64,
    /// The earliest time at which the store can have executed the refund.
    from: u64,
    /// The latest time at which the store can have executed the refund; `u64::MAX` without a reply.
    until: u64,
}

impl Take {
    /// The minimum number of these units that count at the given time, if the store executed each refund at the
    /// earliest time.
    #[must_use]
    pub fn min_units(&self, time: u64) -> u64 {
        self.without(|refund| refund.from <= time)
    }

    /// The maximum number of these units that count at the given time, if the store executed each refund at the latest
    /// time.
    #[must_use]
    pub fn max_units(&self, time: u64) -> u64 {
        self.without(|refund| refund.until < time)
    }

    fn without(&self, is_refunded: impl Fn(&Refund) -> bool) -> u64 {
        let refunded = self.refunds.iter().filter(|it| is_refunded(it)).map(|it| it.units);
        self.units.saturating_sub(refunded.sum())
    }
}

/// Units that a check without a reply may have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncertainTake {
    /// The earliest time at which the store can have executed the check.
    pub from: u64,
    /// The latest time at which the store can have executed the check; `u64::MAX` if there is no bound.
    pub until: u64,
    /// The number of units.
    pub units: u64,
}

/// Reconstructs the histories of all buckets from the calls of each server, in any order. `deadline` is the deadline of
/// the calls.
#[must_use]
pub fn bucket_histories(
    servers: &[Vec<StoreCall>],
    deadline: Duration,
) -> BTreeMap<Bucket, BucketHistory> {
    let mut bucket_histories: BTreeMap<Bucket, BucketHistory> = BTreeMap::new();
    // The index of each take by receipt and bucket, because a refund names the receipt of its check.
    let mut indexes: BTreeMap<((u64, u64), Bucket), usize> = BTreeMap::new();
    for calls in servers {
        let bounds = ExecutionBounds::of(calls, deadline);
        for call in calls.iter().filter(|call| call.operation == Operation::Check) {
            for part in &call.parts {
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
                let (from, until) =
                    call.reply.map_or((call.began, u64::MAX), |reply| (reply.at, reply.at));
                take.refunds.push(Refund { units: part.cost.into(), from, until });
            }
        }
    }
    for history in bucket_histories.values_mut() {
        history.takes.sort_by_key(|take| take.at);
        history.uncertain.sort_by_key(|take| take.from);
    }
    bucket_histories
}

/// The replies and call durations of one server, which bound how late the store may execute a call.
struct ExecutionBounds {
    /// When the server received replies, sorted.
    replies: Vec<u64>,
    /// The duration of the slowest call, but at least the deadline. This is also the maximum error of the server's
    /// estimate of the store's clock.
    slowest: u64,
    deadline: u64,
}

impl ExecutionBounds {
    /// For this many microseconds after a reply, with a margin, a server can estimate the store's clock.
    const CLOCK_ESTIMATE_LIFETIME: u64 = 50_000_000;

    fn of(calls: &[StoreCall], deadline: Duration) -> Self {
        let deadline = deadline.as_micros() as u64;
        let with_reply = calls.iter().filter(|call| call.reply.is_some());
        let mut replies: Vec<u64> = with_reply.clone().map(|call| call.ended).collect();
        replies.sort_unstable();
        let took = with_reply.map(|call| call.ended.saturating_sub(call.began));
        Self { replies, slowest: took.max().unwrap_or(0).max(deadline), deadline }
    }

    fn latest_execution(&self, call: &StoreCall) -> u64 {
        let before = self.replies.partition_point(|reply| *reply < call.began);
        let last = before.checked_sub(1).map(|index| self.replies[index]);
        // Without an estimate of the store's clock, the server cannot tell the store when a call expires. The execution
        // then has no latest time.
        match last {
            Some(last) if call.began - last < Self::CLOCK_ESTIMATE_LIFETIME => {
                call.ended + self.deadline + self.slowest
            }
            _ => u64::MAX,
        }
    }
}
