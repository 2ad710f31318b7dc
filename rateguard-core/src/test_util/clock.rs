//! Provides clocks that a test controls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    Clock,
    clock::{micros, wall_clock},
};

/// A clock whose time changes only when a test changes it. All clones of a clock share one time.
///
/// For quotas with a calendar period, the time of the clock is the time since 1970-01-01T00:00:00 UTC.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    /// The current time of the clock in microseconds.
    now: Arc<AtomicU64>,
}

impl ManualClock {
    /// Creates a clock whose time is 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Advances the clock by this duration, in whole microseconds.
    pub fn advance(&self, time: Duration) {
        self.now.fetch_add(micros(time), SeqCst);
    }

    /// Sets the clock to this time, in whole microseconds. The new time can be earlier than the current time of the
    /// clock.
    pub fn set(&self, now: Duration) {
        self.now.store(micros(now), SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.now.load(SeqCst))
    }
}

/// The clock of Tokio. If a test pauses this clock, Tokio skips all waits, so a test of
/// [`check_or_wait`](crate::RateGuard::check_or_wait) ends immediately.
///
/// ```
/// # use std::time::Duration;
/// # use actix_rateguard_core::{Key, MemoryStore, Policy, RateGuard, test_util::TokioClock};
/// #[tokio::test(start_paused = true)]
/// # async fn hidden() {}
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> { jobs_wait_for_their_turn().await }
/// async fn jobs_wait_for_their_turn() -> Result<(), Box<dyn std::error::Error>> {
///     let store = MemoryStore::new().clock(TokioClock::new());
///     let guard = RateGuard::builder().store(store).build()?;
///     let jobs = Policy::new("jobs", "1/hour")?;
///     for _ in 0..24 {
///         let day = Duration::from_secs(86_400);
///         assert!(guard.check_or_wait(&jobs, &Key::global(), day).await?.is_allowed());
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    /// The time of the wall clock at `start`.
    started_at: Duration,
}

impl TokioClock {
    /// Creates a clock whose time is now 0.
    #[must_use]
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now(), started_at: wall_clock() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn since_1970(&self) -> Duration {
        self.started_at + self.start.elapsed()
    }
}
