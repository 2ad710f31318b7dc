//! Checks whether a denial by the store was correct. The denial was wrong if all buckets of the check certainly had
//! room for its cost.

use actix_rateguard::{Algorithm, Quota};

use super::{
    admissions::weighted,
    buckets::{BucketHistory, UncertainTake},
};
use crate::algorithms::refills_steadily;

/// Computes the maximum number of units that can count in a bucket at a given time. The maximum includes all calls
/// without a reply, because the store may have executed them.
#[derive(Debug)]
pub struct UsageUpperBound<'a> {
    quota: Quota,
    history: &'a BucketHistory,
    /// The times at which the store lost all data.
    losses: &'a [u64],
    /// The longest time between the earliest and the latest possible execution of an uncertain take, which is a
    /// check without a reply. Takes without a latest time are ignored.
    longest: u64,
    /// The uncertain takes without a latest time. The store may execute such a take at any time after the start of
    /// its call.
    unbounded: Vec<&'a UncertainTake>,
    /// For a token bucket: the time of each change, and the maximum number of missing tokens after this change,
    /// multiplied by the window.
    missing: Vec<(u64, u128)>,
}

impl<'a> UsageUpperBound<'a> {
    /// Prepares the upper bound for this bucket. `first_accesses` are the times of the first accesses after backward
    /// clock steps. At these times, a token bucket may be empty.
    #[must_use]
    pub fn of(
        quota: Quota,
        history: &'a BucketHistory,
        losses: &'a [u64],
        first_accesses: impl Iterator<Item = u64>,
    ) -> Self {
        let is_unbounded = |take: &&UncertainTake| take.until == u64::MAX;
        let unbounded = history.uncertain.iter().filter(is_unbounded).collect();
        let bounded = history.uncertain.iter().filter(|take| !is_unbounded(take));
        let longest = bounded.map(|take| take.until - take.from).max().unwrap_or(0);
        let mut bound = Self { quota, history, losses, longest, unbounded, missing: Vec::new() };
        if refills_steadily(quota.algorithm()) {
            bound.missing = bound.missing_tokens(first_accesses);
        }
        bound
    }

    /// Returns the maximum number of units that can count at this time.
    #[must_use]
    pub fn at(&self, time: u64) -> u64 {
        let window = self.quota.window().as_micros() as u64;
        let unbounded = self.unbounded.iter().filter(|take| take.from <= time);
        let unbounded: u64 = unbounded.map(|take| take.units).sum();
        let bounded = match self.quota.algorithm() {
            // The units that still count in a fixed window were taken less than one window ago, as in a sliding
            // window. Therefore both algorithms use the same range of times.
            Algorithm::SlidingWindow | Algorithm::FixedWindow => {
                self.between(time.saturating_sub(window) + 1, time, time)
            }
            Algorithm::TokenBucket => self.token_bucket_usage(time, window),
            // Only permits count, which are holds.
            Algorithm::Concurrency => 0,
            Algorithm::Calendar => unreachable!("no policy of a storm has a calendar period"),
            Algorithm::SlidingWindowCounter => {
                let begin = time - time % window;
                let current = self.between(begin, time, time);
                // If it is unknown whether the store executed a take in the previous or in the current window, the
                // take is counted in both windows. This only raises the bound.
                let previous = self.between(begin.saturating_sub(window), begin - 1, time);
                current + weighted(previous, time, window)
            }
        };
        let holds = self.history.holds.iter();
        let held: u64 = holds.filter(|it| it.may_count(time)).map(|it| it.units).sum();
        bounded + unbounded + held
    }

    /// Returns the maximum number of units that were taken from `first` to `last` and that still count at `time`.
    fn between(&self, first: u64, last: u64, time: u64) -> u64 {
        let first = first.max(self.last_loss(time));
        let takes = &self.history.takes;
        let until = takes.partition_point(|take| take.at <= last);
        let confirmed = takes[..until].iter().rev().take_while(|take| take.at >= first);
        let confirmed: u64 = confirmed.map(|take| take.max_units(time)).sum();
        confirmed + self.uncertain_between(first, last)
    }

    fn uncertain_between(&self, first: u64, last: u64) -> u64 {
        let uncertain = &self.history.uncertain;
        let until = uncertain.partition_point(|take| take.from <= last);
        let near = uncertain[..until].iter().rev();
        near.take_while(|take| take.from.saturating_add(self.longest) >= first)
            .filter(|take| take.until >= first && take.until != u64::MAX)
            .map(|take| take.units)
            .sum()
    }

    /// Returns the time of the last data loss that is not later than `time`, or 0 if there was none.
    fn last_loss(&self, time: u64) -> u64 {
        self.losses.iter().rev().find(|loss| **loss <= time).copied().unwrap_or(0)
    }

    fn token_bucket_usage(&self, time: u64, window: u64) -> u64 {
        let until = self.missing.partition_point(|(at, _)| *at <= time);
        let (at, missing) = until.checked_sub(1).map_or((0, 0), |index| self.missing[index]);
        let refilled = u128::from(time - at) * u128::from(self.quota.limit());
        let missing = missing.saturating_sub(refilled).div_ceil(window.into()) as u64;
        // The store may have executed these uncertain takes before `time`, but `missing` does not include them yet.
        let pending = |take: &&UncertainTake| take.from <= time && take.until > time;
        let uncertain = self.history.uncertain.iter();
        let pending = uncertain.filter(|take| take.until != u64::MAX).filter(pending);
        missing + pending.map(|take| take.units).sum::<u64>()
    }

    /// Returns the number of missing tokens after each change. Each uncertain take is assumed to happen at its
    /// latest time.
    fn missing_tokens(&self, first_accesses: impl Iterator<Item = u64>) -> Vec<(u64, u128)> {
        let window = u128::from(self.quota.window().as_micros() as u64);
        let full = u128::from(self.quota.capacity()) * window;
        let takes = self.history.takes.iter().map(|it| (it.at, Some(it.units)));
        let accesses = first_accesses.map(|at| (at, Some(self.quota.capacity().into())));
        let uncertain = self.history.uncertain.iter().filter(|it| it.until != u64::MAX);
        let uncertain = uncertain.map(|it| (it.until, Some(it.units)));
        let losses = self.losses.iter().map(|loss| (*loss, None));
        let mut changes: Vec<_> = takes.chain(uncertain).chain(losses).chain(accesses).collect();
        changes.sort_unstable();
        let (mut missing, mut last) = (0_u128, 0);
        let after = |(at, units): (u64, Option<u64>)| {
            let refilled = u128::from(at - last) * u128::from(self.quota.limit());
            let taken = units.map(|units| u128::from(units) * window);
            // The number of missing tokens cannot exceed the capacity.
            missing = taken.map_or(0, |taken| (missing.saturating_sub(refilled) + taken).min(full));
            last = at;
            (at, missing)
        };
        changes.into_iter().map(after).collect()
    }
}
