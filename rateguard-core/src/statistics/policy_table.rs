//! The counters of all policies of a guard.

use std::{hash::Hasher, time::Duration};

use smallvec::SmallVec;

use super::{
    counter_ring::CounterRing,
    counters::{COUNTERS, Counter, CounterRow},
    distinct_names::DistinctNames,
    interval_clock::interval_of,
};
use crate::{insert_only_table::InsertOnlyTable, policy::PolicyName, word_hash::WordHasher};

/// The number of intervals in the history: one hour.
pub(crate) const HISTORY: u64 = 180;

/// The number of intervals for which a policy has counters. It is greater than that of the history, so that a reader has
/// time to read the oldest interval.
const RING: usize = 192;

/// The time over which a rate is measured, in seconds.
const RATE_SECONDS: u64 = 5;

/// The name under which the policies after the first 200 are counted together.
pub(crate) const OTHER: &str = "other";

/// The counters of all policies of a guard.
pub(super) struct PolicyTable {
    table: InsertOnlyTable<PolicySeries>,
    other: PolicySeries,
    other_names: DistinctNames,
}

impl PolicyTable {
    pub(super) fn new() -> Self {
        Self {
            table: InsertOnlyTable::new(),
            other: PolicySeries::new(PolicyName::of(OTHER)),
            other_names: DistinctNames::new(),
        }
    }

    /// Returns the counters of a policy.
    pub(super) fn of(&self, name: &PolicyName) -> &PolicySeries {
        let mut hasher = WordHasher::default();
        std::hash::Hash::hash(name, &mut hasher);
        let hash = hasher.finish();
        let create = || PolicySeries::new(name.clone());
        self.table.get_or_insert(hash, |it| it.name == *name, create).unwrap_or_else(|| {
            self.other_names.add(hash);
            &self.other
        })
    }

    /// Returns the counters of all policies, and those of the policies that are counted together, if there are any.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PolicySeries> + Clone {
        let other = (self.omitted() > 0).then_some(&self.other);
        self.table.iter().chain(other)
    }

    /// Returns the number of policies that are counted together, at most 2,048.
    pub(super) fn omitted(&self) -> usize {
        self.other_names.len()
    }
}

/// The counters of one policy.
pub(crate) struct PolicySeries {
    name: PolicyName,
    /// For each interval of the history, the counters, and then the part of each counter that was published.
    history: CounterRing,
    /// For each of the last seconds, the number of requests that the policy let pass, and of those that it rejected.
    seconds: CounterRing,
}

impl PolicySeries {
    pub(super) fn new(name: PolicyName) -> Self {
        Self {
            name,
            history: CounterRing::new(RING, 2 * COUNTERS),
            seconds: CounterRing::new(RATE_SECONDS as usize + 3, 2),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Counts an outcome at this Unix time.
    pub(super) fn increment(&self, counter: Counter, unix_time: Duration) {
        self.history.increment(interval_of(unix_time), counter as usize);
        let direction = match counter {
            Counter::Allowed | Counter::UndecidedPassed => 0,
            Counter::Denied | Counter::Banned | Counter::Rejected => 1,
            Counter::Waited | Counter::WouldDeny => return,
        };
        self.seconds.increment(unix_time.as_secs(), direction);
    }

    /// Returns the counters of an interval.
    pub(crate) fn counts(&self, interval: u64) -> Option<CounterRow> {
        let mut row = [0; COUNTERS];
        for (value, counter) in row.iter_mut().zip(self.history.counters(interval)?) {
            *value = counter.into();
        }
        Some(row)
    }

    /// Returns the counts of an interval that were not returned before, without those that are 0.
    pub(super) fn take_unpublished(&self, interval: u64) -> impl Iterator<Item = (Counter, u64)> {
        let values: Option<SmallVec<[u32; 2 * COUNTERS]>> =
            self.history.counters(interval).map(Iterator::collect);
        let values = values.unwrap_or_default();
        Counter::ALL.into_iter().filter_map(move |counter| {
            let index = counter as usize;
            let (count, published) = (values.get(index)?, values.get(COUNTERS + index)?);
            let number = count.wrapping_sub(*published);
            if number == 0 {
                return None;
            }
            self.history.add_if_present(interval, COUNTERS + index, number);
            Some((counter, number.into()))
        })
    }

    /// Returns the number of passed and of rejected requests per second, over the last 5 complete seconds.
    pub(crate) fn rates(&self, unix_time: Duration) -> [f64; 2] {
        let now = unix_time.as_secs();
        let mut sums = [0_u64; 2];
        for second in now.saturating_sub(RATE_SECONDS)..now {
            if let Some(counters) = self.seconds.counters(second) {
                sums.iter_mut().zip(counters).for_each(|(sum, count)| *sum += u64::from(count));
            }
        }
        sums.map(|sum| sum as f64 / RATE_SECONDS as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_above_the_maximum_are_counted_together() {
        let table = PolicyTable::new();
        let time = Duration::from_secs(1_000);
        for _ in 0..2 {
            for number in 0..300 {
                let name = PolicyName::of(&format!("policy-{number}"));
                table.of(&name).increment(Counter::Denied, time);
            }
        }
        assert_eq!(table.omitted(), 100);
        let counts: Vec<_> = table.iter().map(|it| it.counts(50).unwrap()[1]).collect();
        assert_eq!(counts.len(), 201);
        assert_eq!(counts[200], 200);
        assert!(counts[..200].iter().all(|it| *it == 2));
    }

    #[test]
    fn rate_is_that_of_the_last_complete_seconds() {
        let series = PolicySeries::new(PolicyName::of("p"));
        let at = Duration::from_secs;
        for second in 100..110 {
            series.increment(Counter::Allowed, at(second));
            series.increment(Counter::Banned, at(second));
            series.increment(Counter::Waited, at(second));
        }
        series.increment(Counter::Rejected, at(109));
        assert_eq!(series.rates(at(109)), [1.0, 1.0]);
        assert_eq!(series.rates(at(110)), [1.0, 1.2]);
        assert_eq!(series.rates(at(113)), [0.4, 0.6]);
        assert_eq!(series.rates(at(130)), [0.0, 0.0]);
    }
}
