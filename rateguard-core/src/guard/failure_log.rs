//! Counts what the store left unanswered and says so in the log, seldom.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{OnError, StoreError};

/// How many checks the store has left unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failures {
    /// Requests that passed unchecked (fail open).
    pub open: u64,
    /// Requests that were refused unchecked (fail closed).
    pub closed: u64,
    /// Requests that were decided on in memory.
    pub local: u64,
}

pub(super) struct FailureCounters {
    open: FailureCounter,
    closed: FailureCounter,
    local: FailureCounter,
}

/// What became of the requests.
struct FailureCounter {
    count: AtomicU64,
    /// For the log, one for each cause.
    lines: [ThrottledLog; StoreError::ALL.len()],
}

impl FailureCounters {
    pub(super) fn new() -> Self {
        let outcome = || FailureCounter {
            count: AtomicU64::new(0),
            lines: StoreError::ALL.map(|_| ThrottledLog::new()),
        };
        Self { open: outcome(), closed: outcome(), local: outcome() }
    }

    pub(super) fn record(&self, cause: StoreError, on_error: OnError) {
        let (outcome, word) = match on_error {
            OnError::Closed => (&self.closed, "refused"),
            OnError::Local => (&self.local, "decided on in memory"),
            _ => (&self.open, "passed unchecked"),
        };
        outcome.count.fetch_add(1, Relaxed);
        // The variants have no values of their own, so they are numbered from 0.
        if let Some(requests) = outcome.lines[cause as usize].try_emit() {
            log::warn!(
                target: "rateguard",
                "no answer from the store: {cause}; {requests} requests {word} since the last line like this"
            );
        }
    }

    pub(super) fn failures(&self) -> Failures {
        let [open, closed, local] =
            [&self.open, &self.closed, &self.local].map(|outcome| outcome.count.load(Relaxed));
        Failures { open, closed, local }
    }
}

/// A line for the log that is written at most once in a while.
pub struct ThrottledLog {
    /// When there was something to say for the first time.
    start: OnceLock<Instant>,
    /// Milliseconds after `start`; before it nothing is written.
    silent_until: AtomicU64,
    /// How often there was something to say since it was last said.
    suppressed: AtomicU64,
}

impl ThrottledLog {
    const SILENCE: Duration = Duration::from_secs(10);

    pub const fn new() -> Self {
        Self {
            start: OnceLock::new(),
            silent_until: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// How often there was something to say since the last time, this one included, if it may be said now.
    pub fn try_emit(&self) -> Option<u64> {
        self.say_at(Instant::now())
    }

    fn say_at(&self, now: Instant) -> Option<u64> {
        self.suppressed.fetch_add(1, Relaxed);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now.duration_since(*self.start.get_or_init(|| now)));
        let until = self.silent_until.load(Relaxed);
        // Of several threads that come here at once, one speaks.
        let mine = now >= until
            && self
                .silent_until
                .compare_exchange(until, now + millis(Self::SILENCE), Relaxed, Relaxed)
                .is_ok();
        mine.then(|| self.suppressed.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_at_once_and_then_once_in_ten_seconds_with_what_was_not_said() {
        let start = Instant::now();
        let line = ThrottledLog::new();
        let second = Duration::from_secs(1);
        assert_eq!(line.say_at(start), Some(1));
        assert_eq!(line.say_at(start + second), None);
        assert_eq!(line.say_at(start + 9 * second), None);
        assert_eq!(line.say_at(start + 10 * second), Some(3));
        assert_eq!(line.say_at(start + 11 * second), None);
    }

    #[test]
    fn every_cause_has_its_line() {
        for (place, cause) in StoreError::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
        }
    }

    #[test]
    fn what_passes_and_what_is_refused_are_counted_apart() {
        let outage = FailureCounters::new();
        outage.record(StoreError::Timeout, OnError::Open);
        outage.record(StoreError::Timeout, OnError::Open);
        outage.record(StoreError::Unreachable, OnError::Closed);
        outage.record(StoreError::Unreachable, OnError::Local);
        assert_eq!(outage.failures(), Failures { open: 2, closed: 1, local: 1 });
    }
}
