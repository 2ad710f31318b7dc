//! The statistics of the fleet as this process has read them last.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix_rateguard_grammar::check_name;

use super::{
    counters::{COUNTERS, Counter, CounterRow},
    interval_clock::{INTERVAL, interval_of},
    policy_table::HISTORY,
    values::GuardStatistics,
};
use crate::{StoreError, store::StatisticsRead};

/// The maximum number of intervals in one read.
const MAX_INTERVALS: usize = 60;

/// The time after the end of an interval until its counts do not change, unless the revision of the store changes.
const COMPLETE_AFTER: Duration = Duration::from_secs(30);

/// The statistics of the fleet as this process has read them last.
#[derive(Default)]
pub(crate) struct FleetCache {
    /// The result of the last read and its monotonic time.
    pub(crate) last: Option<(Duration, Result<Arc<GuardStatistics>, StoreError>)>,
    revision: String,
    intervals: BTreeMap<u64, CachedInterval>,
}

struct CachedInterval {
    is_complete: bool,
    counts: BTreeMap<String, CounterRow>,
}

impl FleetCache {
    /// Starts a read: removes all intervals that can have changed.
    pub(crate) fn start_read(&mut self) {
        self.intervals.retain(|_, it| it.is_complete);
    }

    /// Returns the latest intervals that are missing, at most 60.
    pub(crate) fn missing(&self, unix_time: Duration) -> Vec<u64> {
        let current = interval_of(unix_time);
        let intervals = (current.saturating_sub(HISTORY - 1)..=current).rev();
        intervals.filter(|it| !self.intervals.contains_key(it)).take(MAX_INTERVALS).collect()
    }

    /// Stores the counts of the intervals that were read.
    pub(crate) fn add(&mut self, intervals: &[u64], read: &StatisticsRead) {
        if read.revision != self.revision {
            self.intervals.clear();
            self.revision.clone_from(&read.revision);
        }
        for (interval, counts) in intervals.iter().zip(&read.counts) {
            let end = INTERVAL.saturating_mul(u32::try_from(interval + 1).unwrap_or(u32::MAX));
            let is_complete = end + COMPLETE_AFTER <= read.now;
            let counts = decode_counts(counts);
            self.intervals.insert(*interval, CachedInterval { is_complete, counts });
        }
        let first = interval_of(read.now).saturating_sub(HISTORY - 1);
        self.intervals.retain(|interval, _| *interval >= first);
    }

    /// Returns the counts of each policy in each interval.
    pub(crate) fn history(&self) -> Vec<(u64, Vec<(&str, CounterRow)>)> {
        let counts = self.intervals.iter().map(|(interval, it)| {
            (*interval, it.counts.iter().map(|(name, row)| (&**name, *row)).collect())
        });
        counts.collect()
    }
}

/// Returns the counters of each policy. Ignores counters that this version does not have.
fn decode_counts(counts: &[(String, u64)]) -> BTreeMap<String, CounterRow> {
    let mut rows = BTreeMap::new();
    for (name, number) in counts {
        let Some((counter, policy)) = name.split_once(':') else { continue };
        let counter = Counter::ALL.into_iter().find(|it| it.as_str() == counter);
        let Some(counter) = counter.filter(|_| check_name(policy).is_ok()) else { continue };
        let row: &mut CounterRow = rows.entry(policy.to_owned()).or_insert([0; COUNTERS]);
        // A sum of these numbers does not overflow.
        row[counter as usize] = (*number).min(1 << 48);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(revision: &str, seconds: u64, counts: Vec<Vec<(String, u64)>>) -> StatisticsRead {
        let now = Duration::from_secs(seconds);
        StatisticsRead { now, revision: revision.to_owned(), counts, ..Default::default() }
    }

    #[test]
    fn complete_intervals_are_read_once_for_each_revision() {
        let mut cache = FleetCache::default();
        let now = Duration::from_secs(20_000);
        let mut reads = 0;
        loop {
            let missing = cache.missing(now);
            if missing.is_empty() {
                break;
            }
            assert!(missing.len() <= MAX_INTERVALS);
            let counts = missing.iter().map(|_| vec![("allowed:p".to_owned(), 2)]).collect();
            cache.add(&missing, &read("0", 20_000, counts));
            reads += 1;
        }
        assert_eq!((reads, cache.history().len()), (3, 180));
        cache.start_read();
        assert_eq!(cache.missing(now), [1_000, 999, 998]);
        cache.add(&[1_000, 999, 998], &read("1", 20_000, vec![vec![]; 3]));
        assert_eq!(cache.history().len(), 3);
        assert_eq!(cache.missing(now).len(), MAX_INTERVALS);
    }

    #[test]
    fn unknown_counters_and_invalid_names_are_ignored() {
        let counts = [("denied:p::q", 3), ("denied", 1), ("new:p", 1), ("denied:{x}", 1)]
            .map(|(name, number)| (name.to_owned(), number));
        let rows = decode_counts(&counts);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows["p::q"], [0, 3, 0, 0, 0, 0, 0]);
    }
}
