//! The guard that decides the requests: a guard of the library that counts in memory, with a clock that the log sets.

use std::{
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_rateguard_core::{BuildError, Clock, MemoryStore, RateGuard};

use crate::exit::Failure;

/// The number of buckets of the store for each key of the replay. A full store lets keys share buckets, so that the
/// result would no longer be exact: a policy has up to 8 quotas, and an eighth of the capacity is for each kind of
/// records of bans. An empty store with a high maximum needs no memory.
const STORE_KEYS_PER_KEY: usize = 64;

/// A clock that shows the time of the current line. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedClock {
    micros: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// Sets the time in microseconds since 1970.
    pub(crate) fn set(&self, micros: u64) {
        self.micros.store(micros, Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed))
    }
}

pub(crate) struct LimitGuard {
    pub(crate) guard: RateGuard,
    pub(crate) clock: SimulatedClock,
}

impl LimitGuard {
    /// Creates a guard. `max_keys` is the maximum number of keys of all policies together.
    ///
    /// # Errors
    ///
    /// A [`Failure`] with the errors in the policies file.
    pub(crate) fn new(policies_file: Option<&Path>, max_keys: usize) -> Result<Self, Failure> {
        let clock = SimulatedClock::default();
        let store_keys = max_keys.saturating_mul(STORE_KEYS_PER_KEY).max(1_000_000);
        let store = MemoryStore::new().max_keys(store_keys).clock(clock.clone());
        let mut builder = RateGuard::builder().memory_store(store);
        if let Some(path) = policies_file {
            builder = builder.policies_file(path).policies_file_interval(Duration::ZERO);
        }
        let guard = builder.build().map_err(|error| match error {
            BuildError::PoliciesFile(error) if error.diagnostics().is_empty() => {
                Failure::usage(error)
            }
            error => Failure::problem(error).help(
                "`rateguard check FILE` shows the errors of a policies file with their lines",
            ),
        })?;
        Ok(Self { guard, clock })
    }
}

/// Returns the output of a future of the in-memory store, which is ready at its first poll.
pub(crate) fn poll_ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
