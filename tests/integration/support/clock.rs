//! A clock that stands still until it is told otherwise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rateguard::{Clock, MemoryStore, RateGuard};

/// Microseconds, set by the test.
#[derive(Clone, Default)]
pub struct StillClock(Arc<AtomicU64>);

impl StillClock {
    pub fn set(&self, micros: u64) {
        self.0.store(micros, SeqCst);
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(SeqCst))
    }
}

/// A guard in memory whose time passes when the test says so.
pub fn guard_with_clock() -> (RateGuard, StillClock) {
    let clock = StillClock::default();
    let store = MemoryStore::new().clock(clock.clone());
    (RateGuard::builder().store(store).build().unwrap(), clock)
}
