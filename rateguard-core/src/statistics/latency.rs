//! The duration of the store calls of the last seconds.

use std::time::Duration;

use super::counter_ring::CounterRing;
use crate::clock::micros;

/// The time over which calls are measured, in seconds.
const SECONDS: u64 = 5;

/// The number of buckets for each power of two. So a bucket is at most 25 % wide.
const BUCKETS_PER_OCTAVE: u64 = 4;

/// Buckets of 4 µs to about 1 minute. Shorter and longer calls are in the first and in the last bucket.
const BUCKETS: usize = 100;

/// The durations of store calls in log-linear buckets, for each of the last seconds.
pub(super) struct StoreLatency {
    seconds: CounterRing,
}

/// A summary of the store calls of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LatencySummary {
    pub(crate) calls_per_second: f64,
    /// The median duration. `None` if there was no call.
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
}

impl StoreLatency {
    pub(super) fn new() -> Self {
        Self { seconds: CounterRing::new(SECONDS as usize + 3, BUCKETS) }
    }

    pub(super) fn record(&self, duration: Duration, unix_time: Duration) {
        self.seconds.increment(unix_time.as_secs(), bucket_of(micros(duration)));
    }

    /// Summarizes the calls of the last 5 complete seconds.
    pub(super) fn summary(&self, unix_time: Duration) -> LatencySummary {
        let mut buckets = [0_u64; BUCKETS];
        let now = unix_time.as_secs();
        for second in now.saturating_sub(SECONDS)..now {
            if let Some(counters) = self.seconds.counters(second) {
                buckets.iter_mut().zip(counters).for_each(|(sum, it)| *sum += u64::from(it));
            }
        }
        let calls: u64 = buckets.iter().sum();
        let quantile = |percent: u64| {
            let rank = (calls * percent).div_ceil(100);
            let mut below = 0;
            let bucket = buckets.iter().position(|count| {
                below += count;
                below >= rank
            });
            bucket.filter(|_| calls > 0).map(|it| Duration::from_micros(upper_bound(it)))
        };
        let calls_per_second = calls as f64 / SECONDS as f64;
        LatencySummary { calls_per_second, p50: quantile(50), p99: quantile(99) }
    }
}

/// Returns the bucket of a duration.
fn bucket_of(micros: u64) -> usize {
    let micros = micros.max(BUCKETS_PER_OCTAVE);
    let octave = u64::from(micros.ilog2()) - 2;
    let part = (micros >> octave) - BUCKETS_PER_OCTAVE;
    usize::try_from(octave * BUCKETS_PER_OCTAVE + part).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// Returns the longest duration in a bucket, in microseconds.
fn upper_bound(bucket: usize) -> u64 {
    let (octave, part) = (bucket as u64 / BUCKETS_PER_OCTAVE, bucket as u64 % BUCKETS_PER_OCTAVE);
    ((BUCKETS_PER_OCTAVE + part + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bound_exceeds_a_duration_by_at_most_25_percent() {
        for micros in (4..10_000).chain([123_456, 5_000_000, 60_000_000]) {
            let bound = upper_bound(bucket_of(micros));
            assert!(bound >= micros && bound * 4 <= micros * 5, "{micros} {bound}");
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_last_seconds() {
        let latency = StoreLatency::new();
        let at = Duration::from_secs;
        assert_eq!(latency.summary(at(50)), LatencySummary::default());
        latency.record(Duration::from_secs(9), at(40));
        (0..98).for_each(|_| latency.record(Duration::from_micros(400), at(50)));
        (0..2).for_each(|_| latency.record(Duration::from_micros(9_000), at(51)));
        let summary = latency.summary(at(52));
        assert_eq!(summary.calls_per_second, 20.0);
        assert_eq!(summary.p50, Some(Duration::from_micros(447)));
        assert_eq!(summary.p99, Some(Duration::from_micros(10_239)));
    }
}
