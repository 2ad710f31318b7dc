//! Defines the clock of the in-memory store.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock from which the in-memory store reads the time.
///
/// The default is the system's monotonic clock. A test can set its own clock, so that it does not have to wait for the
/// end of a window.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time since a fixed moment. The store ignores fractions of a microsecond.
    fn now(&self) -> Duration;

    /// Returns the time since 1970-01-01T00:00:00 UTC, which quotas with a calendar period need. The default is
    /// [`now`](Self::now), so a test sets the date when it sets its clock.
    fn since_1970(&self) -> Duration {
        self.now()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn since_1970(&self) -> Duration {
        (**self).since_1970()
    }
}

/// Returns the duration in whole microseconds, at most `u64::MAX`.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the time of the system's wall clock since 1970. A time before 1970 is 0.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
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

    fn since_1970(&self) -> Duration {
        wall_clock()
    }
}
