//! Time for the in-memory store.

use std::time::{Duration, Instant};

/// A clock for the in-memory store.
///
/// The default is the system's monotonic clock. Tests bring their own, so that a window passes without waiting.
pub trait Clock: Send + Sync + 'static {
    /// The time since some fixed moment. The store counts whole microseconds of it.
    fn now(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// The system's monotonic clock: it neither steps nor follows the time of day.
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
