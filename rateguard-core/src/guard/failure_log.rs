//! Counts the checks that the store failed to decide, and logs the failures at a limited rate.

use std::{
    error::Error as _,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{OnError, StoreError, store::Keyspace};

/// The numbers of checks that the store failed to decide. The guard then admits the request, rejects the request, or
/// decides in memory. Each of these three ways has its own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failures {
    /// The number of requests that the guard admitted without a check (fail open).
    pub open: u64,
    /// The number of requests that the guard rejected without a check (fail closed).
    pub closed: u64,
    /// The number of requests on which the guard decided in the memory of this process. There, the guard enforces only
    /// the share of the limit that belongs to this process.
    pub local: u64,
}

/// The failure counters of a guard. There is one counter for each action that the guard takes if the store fails.
pub(super) struct FailureCounters {
    open: FailureCounter,
    closed: FailureCounter,
    local: FailureCounter,
}

struct FailureCounter {
    count: AtomicU64,
    /// One log throttle for each cause, in the order of [`StoreError::ALL`].
    logs: [ThrottledLog; StoreError::ALL.len()],
}

impl FailureCounters {
    pub(super) fn new() -> Self {
        let counter = || FailureCounter {
            count: AtomicU64::new(0),
            logs: StoreError::ALL.map(|_| ThrottledLog::new()),
        };
        Self { open: counter(), closed: counter(), local: counter() }
    }

    /// Counts a check that failed with this cause. For each pair of a cause and a failure mode, the guard logs at
    /// most one message in 10 s. The message names the server of the keyspace.
    pub(super) fn record(&self, cause: StoreError, on_error: OnError, keyspace: Option<&Keyspace>) {
        // A caller of the guard may get the failure as an error, and may then decide on the request itself. So the
        // message says what the failure mode does, and not what happens to the request.
        let (counter, mode) = match on_error {
            OnError::Closed => (&self.closed, "`closed` rejects the request"),
            OnError::Local => (&self.local, "`local` decides in memory"),
            _ => (&self.open, "`open` admits the request"),
        };
        counter.count.fetch_add(1, Relaxed);
        if let Some(checks) = counter.logs[cause.index()].try_emit() {
            let server = server_suffix(keyspace);
            let detail = match (cause, keyspace) {
                (StoreError::ForeignValue, Some(it)) => format!(" (`{}`)", it.prefix),
                _ => cause.source().map(|it| format!(" ({it})")).unwrap_or_default(),
            };
            let plural = if checks == 1 { "" } else { "s" };
            log::warn!(
                target: "rateguard",
                "store check failed{server}: {cause}{detail}; {checks} check{plural} failed since the last message of this kind; the failure mode {mode}"
            );
        }
    }

    pub(super) fn totals(&self) -> Failures {
        let [open, closed, local] =
            [&self.open, &self.closed, &self.local].map(|counter| counter.count.load(Relaxed));
        Failures { open, closed, local }
    }
}

/// Permits at most one log message in 10 seconds, and counts the suppressed messages.
pub struct ThrottledLog {
    /// The time of the first call of `try_emit`.
    start: OnceLock<Instant>,
    /// The earliest time of the next message, in milliseconds after `start`.
    next_at_ms: AtomicU64,
    /// The number of calls of `try_emit` since the last message.
    suppressed: AtomicU64,
}

impl Default for ThrottledLog {
    fn default() -> Self {
        Self::new()
    }
}

impl ThrottledLog {
    const INTERVAL: Duration = Duration::from_secs(10);

    /// Creates a throttle that permits a log message at the first call.
    pub const fn new() -> Self {
        Self {
            start: OnceLock::new(),
            next_at_ms: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Counts a call. If the caller may log a message now, returns the number of calls since the last message,
    /// including this call. Otherwise returns `None`.
    pub fn try_emit(&self) -> Option<u64> {
        self.try_emit_at(Instant::now())
    }

    fn try_emit_at(&self, now: Instant) -> Option<u64> {
        self.suppressed.fetch_add(1, Relaxed);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now.duration_since(*self.start.get_or_init(|| now)));
        let next = self.next_at_ms.load(Relaxed);
        // If several threads try to log at the same time, the exchange succeeds in only one thread, and only this
        // thread logs the message.
        let is_emitted = now >= next
            && self
                .next_at_ms
                .compare_exchange(next, now + millis(Self::INTERVAL), Relaxed, Relaxed)
                .is_ok();
        is_emitted.then(|| self.suppressed.swap(0, Relaxed))
    }
}

/// Returns the server in parentheses for a log message, or an empty text if the store has no server.
pub(super) fn server_suffix(keyspace: Option<&Keyspace>) -> String {
    keyspace.map(|it| format!(" ({})", it.server)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttled_log_emits_first_call_then_once_per_interval() {
        let start = Instant::now();
        let log = ThrottledLog::new();
        let second = Duration::from_secs(1);
        assert_eq!(log.try_emit_at(start), Some(1));
        assert_eq!(log.try_emit_at(start + second), None);
        assert_eq!(log.try_emit_at(start + 9 * second), None);
        assert_eq!(log.try_emit_at(start + 10 * second), Some(3));
        assert_eq!(log.try_emit_at(start + 11 * second), None);
    }

    #[test]
    fn store_error_index_is_the_index_of_its_log() {
        for (index, cause) in StoreError::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index);
        }
    }

    #[test]
    fn failure_modes_are_counted_separately() {
        let counters = FailureCounters::new();
        counters.record(StoreError::Timeout, OnError::Open, None);
        counters.record(StoreError::Timeout, OnError::Open, None);
        counters.record(StoreError::Unreachable(None), OnError::Closed, None);
        counters.record(StoreError::Unreachable(None), OnError::Local, None);
        assert_eq!(counters.totals(), Failures { open: 2, closed: 1, local: 1 });
    }
}
