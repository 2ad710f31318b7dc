//! The statistics that all processes with one store share.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use super::StoreError;

/// Stores the statistics of all clients of a store: the report of each process, and counts for each interval of time.
///
/// A [`Store`](super::Store) with shared statistics returns itself from
/// [`Store::statistics`](super::Store::statistics).
pub trait StatisticsStore: Send + Sync {
    /// Adds counts, and replaces the report of a process. Returns the time since 1970-01-01T00:00:00 UTC on the clock
    /// of the store.
    ///
    /// The store adds the counts only if it has not added a publication of this process with the same or a greater
    /// [sequence number](StatisticsPublication::sequence). So a client repeats a publication whose result is unknown.
    /// It publishes about once a second.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store failed. It is possible that the store has added the counts.
    fn publish<'a>(
        &'a self,
        publication: StatisticsPublication<'a>,
    ) -> StatisticsFuture<'a, Duration>;

    /// Reads the reports of all processes, and the counts of at most 60 intervals. Removes reports that were not
    /// replaced within the last 10 seconds.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if the store failed.
    fn read<'a>(&'a self, intervals: &'a [u64]) -> StatisticsFuture<'a, StatisticsRead>;
}

/// The result of an operation on shared statistics.
pub type StatisticsFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// New statistics of a process.
#[derive(Clone, Copy)]
pub struct StatisticsPublication<'a> {
    /// The id of the process.
    pub process: &'a str,
    /// The sequence number, which increases with each new publication of the process. It begins at 1.
    pub sequence: u64,
    /// The report that replaces the last one of the process. `None` removes it.
    pub report: Option<&'a str>,
    /// The counts, ordered by interval.
    pub counts: &'a [StatisticsCount],
}

/// A number to add to a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsCount {
    /// The number of the interval. An interval has 20 seconds, and the first one began at 1970-01-01T00:00:00 UTC. The
    /// store has an interval for 1 hour and 1 minute after its end.
    pub interval: u64,
    /// The name of the counter: `OUTCOME:POLICY`.
    pub counter: String,
    /// The number.
    pub number: u64,
}

/// The statistics that a process reads.
#[derive(Clone, Debug, Default)]
pub struct StatisticsRead {
    /// The time since 1970-01-01T00:00:00 UTC on the clock of the store.
    pub now: Duration,
    /// A number that changes when a process adds counts to an interval that ended more than 30 seconds ago. While the
    /// number is the same, such an interval does not change.
    pub revision: String,
    /// The reports of the processes.
    pub reports: Vec<StatisticsReport>,
    /// The counters of each requested interval, in the order of the request: names and numbers.
    pub counts: Vec<Vec<(String, u64)>>,
}

/// The report of a process.
#[derive(Clone)]
pub struct StatisticsReport {
    /// The id of the process.
    pub process: String,
    /// The time since the process has written the report.
    pub age: Duration,
    /// The text of the report.
    pub text: String,
}

// A report can have texts and digests of keys, which `Debug` must not show.
impl fmt::Debug for StatisticsPublication<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatisticsPublication")
            .field("process", &self.process)
            .field("sequence", &self.sequence)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StatisticsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatisticsReport")
            .field("process", &self.process)
            .field("age", &self.age)
            .finish_non_exhaustive()
    }
}
