//! Collects the counts that the store does not have yet.

use std::time::Duration;

use super::{
    counters::Counter,
    interval_clock::interval_of,
    policy_table::{HISTORY, PolicySeries},
};
use crate::store::StatisticsCount;

/// The maximum number of counts in a publication.
pub(crate) const MAX_COUNTS: usize = 2_000;

/// The number of intervals after which counts of an interval can no longer change.
const SETTLED_AFTER: u64 = 2;

/// The state of the publications of a process.
#[derive(Default)]
pub(crate) struct Publisher {
    sequence: u64,
    /// The publication whose result is not known yet. It is repeated with the same sequence number.
    pending: Option<Batch>,
    /// All counts of the intervals before this one are in a publication.
    complete_before: u64,
}

/// The counts of a publication.
pub(crate) struct Batch {
    pub(crate) sequence: u64,
    pub(crate) counts: Vec<StatisticsCount>,
    /// The Unix time when the counts were collected.
    collected_at: Duration,
}

impl Publisher {
    /// Returns the publication that the store has not confirmed, or else collects a new one.
    pub(crate) fn batch<'a>(
        &mut self,
        series: impl Iterator<Item = &'a PolicySeries> + Clone,
        unix_time: Duration,
    ) -> &Batch {
        // The store has the sequence number of a process for an hour only.
        let max_age = Duration::from_secs(60 * 60);
        let is_usable = |it: &Batch| unix_time.saturating_sub(it.collected_at) < max_age;
        match self.pending.take().filter(is_usable) {
            Some(pending) => self.pending.insert(pending),
            None => {
                let counts = self.collect(series, interval_of(unix_time));
                self.sequence += 1;
                let sequence = self.sequence;
                self.pending.insert(Batch { sequence, counts, collected_at: unix_time })
            }
        }
    }

    /// Records that the store has the last publication.
    pub(crate) fn confirm(&mut self) {
        self.pending = None;
    }

    fn collect<'a>(
        &mut self,
        series: impl Iterator<Item = &'a PolicySeries> + Clone,
        current: u64,
    ) -> Vec<StatisticsCount> {
        let mut counts = Vec::new();
        let first = current.saturating_sub(HISTORY - 1).max(self.complete_before.min(current));
        for interval in first..=current {
            for series in series.clone() {
                for (counter, number) in series.take_unpublished(interval) {
                    let counter = format!("{}:{}", counter.as_str(), series.name());
                    counts.push(StatisticsCount { interval, counter, number });
                }
                if counts.len() >= MAX_COUNTS {
                    self.complete_before = interval;
                    return counts;
                }
            }
        }
        self.complete_before = current.saturating_sub(SETTLED_AFTER);
        counts
    }
}

impl Counter {
    /// Returns the name of the counter in the store.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Banned => "banned",
            Self::Rejected => "rejected",
            Self::UndecidedPassed => "undecided_passed",
            Self::Waited => "waited",
            Self::WouldDeny => "would_deny",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyName;

    fn numbers(batch: &Batch) -> Vec<(u64, &str, u64)> {
        batch.counts.iter().map(|it| (it.interval, &*it.counter, it.number)).collect()
    }

    #[test]
    fn each_count_is_in_one_publication() {
        let series = [PolicySeries::new(PolicyName::of("p"))];
        let at = Duration::from_secs;
        let mut publisher = Publisher::default();
        (0..3).for_each(|_| series[0].increment(Counter::Allowed, at(10_000)));
        let expected = [(500, "allowed:p", 3)];
        assert_eq!(numbers(publisher.batch(series.iter(), at(10_001))), expected);
        // The store has not confirmed the publication, so it stays the same.
        series[0].increment(Counter::Allowed, at(10_002));
        let repeated = publisher.batch(series.iter(), at(10_003));
        assert_eq!((numbers(repeated), repeated.sequence), (expected.to_vec(), 1));
        publisher.confirm();
        series[0].increment(Counter::WouldDeny, at(10_030));
        let next = publisher.batch(series.iter(), at(10_031));
        assert_eq!(numbers(next), [(500, "allowed:p", 1), (501, "would_deny:p", 1)]);
        assert_eq!(next.sequence, 2);
        publisher.confirm();
        assert_eq!(numbers(publisher.batch(series.iter(), at(10_031))), []);
    }

    #[test]
    fn counts_of_an_hour_without_the_store_are_published_for_their_intervals() {
        let series = [PolicySeries::new(PolicyName::of("p"))];
        let mut publisher = Publisher::default();
        publisher.batch(series.iter(), Duration::ZERO);
        publisher.confirm();
        for interval in 1_000..1_400 {
            series[0].increment(Counter::Denied, Duration::from_secs(20 * interval));
        }
        let batch = publisher.batch(series.iter(), Duration::from_secs(20 * 1_399));
        let expected: Vec<_> = (1_220..1_400).map(|it| (it, "denied:p", 1)).collect();
        assert_eq!(numbers(batch), expected);
    }

    #[test]
    fn publications_are_bounded_and_lose_nothing() {
        let policies = (0..100).map(|it| PolicySeries::new(PolicyName::of(&format!("p{it}"))));
        let series: Vec<_> = policies.collect();
        let mut publisher = Publisher::default();
        for interval in 500..600 {
            let time = Duration::from_secs(20 * interval);
            series.iter().for_each(|it| it.increment(Counter::Allowed, time));
        }
        let mut sum = 0;
        for _ in 0..6 {
            let batch = publisher.batch(series.iter(), Duration::from_secs(12_000));
            assert!(batch.counts.len() <= MAX_COUNTS);
            sum += batch.counts.iter().map(|it| it.number).sum::<u64>();
            publisher.confirm();
        }
        assert_eq!(sum, 10_000);
    }
}
