//! Defines the clock of the in-memory store.

use std::time::{Duration, Instant};

/// A clock from which the in-memory store reads the time.
///
/// The default is the system's monotonic clock. A test can set its own clock, so that it does not have to wait for the
/// end of a window.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time since a fixed moment. The store ignores fractions of a microsecond.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// Returns the duration in whole microseconds, at most `u64::MAX`.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The system's monotonic clock. It does not jump when the time of day is changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MonotonicClock {
    start: Instant,
}

impl MonotonicClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}
