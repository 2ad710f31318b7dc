//! The durations of checks.

use std::time::Duration;

use serde_json::{Value, json};

/// The durations of the checks of one part of the measurement.
#[derive(Default)]
pub(super) struct Run {
    /// The durations in ascending order.
    sorted: Vec<Duration>,
    failed: usize,
    length: Duration,
}

/// The results of all parts.
pub(super) struct Measurements {
    pub(super) round_trip: Run,
    pub(super) check: Run,
    /// Each run with the number of its tasks.
    pub(super) concurrent: Vec<(usize, Run)>,
    pub(super) hot_key: Run,
    pub(super) leased_key: Run,
}

impl Run {
    pub(super) fn new(mut durations: Vec<Duration>, failed: usize, length: Duration) -> Self {
        durations.sort_unstable();
        Self { sorted: durations, failed, length }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.sorted.len() as f64 / self.length.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns the duration that this part of the checks does not exceed. Zero if there was no check.
    pub(super) fn percentile(&self, part: f64) -> Duration {
        let index = (self.sorted.len() as f64 * part).ceil() as usize;
        self.sorted.get(index.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(super) fn max(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }

    /// Returns how many checks lasted longer.
    pub(super) fn above(&self, limit: Duration) -> usize {
        self.sorted.len() - self.sorted.partition_point(|duration| *duration <= limit)
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "count": self.count(),
            "failed": self.failed,
            "per_second": self.per_second(),
            "p50_seconds": self.percentile(0.5).as_secs_f64(),
            "p99_seconds": self.percentile(0.99).as_secs_f64(),
            "max_seconds": self.max().as_secs_f64(),
        })
    }
}

impl Measurements {
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        let concurrent = self.concurrent.iter().map(|(_, run)| run);
        [&self.round_trip, &self.check, &self.hot_key, &self.leased_key]
            .into_iter()
            .chain(concurrent)
    }

    pub(super) fn failed(&self) -> usize {
        self.runs().map(|run| run.failed).sum()
    }

    /// Returns the run with the most checks per second.
    pub(super) fn fastest(&self) -> Option<&Run> {
        let runs = self.concurrent.iter().map(|(_, run)| run);
        runs.max_by(|one, other| one.per_second().total_cmp(&other.per_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_durations_of_checks() {
        let milliseconds = (1..=200).rev().map(Duration::from_millis).collect();
        let run = Run::new(milliseconds, 0, Duration::from_secs(2));
        assert_eq!(run.percentile(0.5), Duration::from_millis(100));
        assert_eq!(run.percentile(0.99), Duration::from_millis(198));
        assert_eq!(
            (run.max(), run.above(Duration::from_millis(150))),
            (Duration::from_millis(200), 50)
        );
        assert_eq!(run.per_second(), 100.0);
        let empty = Run::default();
        assert_eq!((empty.percentile(0.99), empty.max()), (Duration::ZERO, Duration::ZERO));
    }
}
