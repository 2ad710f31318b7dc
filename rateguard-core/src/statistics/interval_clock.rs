//! The clock that divides time into intervals.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

use crate::clock::{micros, wall_clock};

/// The length of one interval of the history.
pub(crate) const INTERVAL: Duration = Duration::from_secs(20);

/// Translates the monotonic clock of this process into Unix time. A store with a clock of its own corrects the
/// difference.
pub(super) struct IntervalClock {
    /// Unix time minus the monotonic time, in microseconds.
    offset: AtomicI64,
}

impl IntervalClock {
    /// `now` is the monotonic time.
    pub(super) fn new(now: Duration) -> Self {
        let clock = Self { offset: AtomicI64::new(0) };
        clock.set(now, wall_clock());
        clock
    }

    /// Sets the Unix time at the monotonic time `now`.
    pub(super) fn set(&self, now: Duration, unix_time: Duration) {
        let offset = micros(unix_time).wrapping_sub(micros(now));
        self.offset.store(offset.cast_signed(), Relaxed);
    }

    /// Returns the Unix time at the monotonic time `now`.
    pub(super) fn unix_time(&self, now: Duration) -> Duration {
        let time = micros(now).wrapping_add(self.offset.load(Relaxed).cast_unsigned());
        Duration::from_micros(time)
    }
}

/// Returns the number of the interval of the history.
pub(super) fn interval_of(unix_time: Duration) -> u64 {
    unix_time.as_secs() / INTERVAL.as_secs()
}
