//! Contains helpers for tests: manual clocks, stores that fail on demand, and a suite that tests whether a store
//! satisfies its contract.
//!
//! [`guard`] returns a guard with a manual clock. A test with this guard needs no Redis server and need not sleep:
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use std::time::Duration;
//! use actix_rateguard_core::{Key, Policy, test_util};
//!
//! let (guard, clock) = test_util::guard();
//! let policy = Policy::new("login", "1/minute")?;
//! let user = Key::from("user-42");
//!
//! assert!(guard.allows(&policy, &user).await);
//! assert!(!guard.allows(&policy, &user).await);
//! clock.advance(Duration::from_secs(60));
//! assert!(guard.allows(&policy, &user).await);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```
//!
//! With a [`FaultyStore`], a test can verify how an application reacts when its store does not answer:
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use actix_rateguard_core::{Key, MemoryStore, Policy, RateGuard, StoreError, test_util::FaultyStore};
//!
//! let store = FaultyStore::new(MemoryStore::new());
//! let guard = RateGuard::builder().store(store.clone()).build()?;
//! store.fail(StoreError::Unreachable(None));
//! assert!(guard.check(&Policy::new("login", "1/minute")?, &Key::global()).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```

mod clock;
mod conformance;
mod decisions;
mod faulty;

pub use clock::{ManualClock, TokioClock};
pub use conformance::{Time, conformance};
pub use decisions::decision;
pub use faulty::FaultyStore;

use crate::{MemoryStore, RateGuard};

/// Returns a guard with an in-memory store, and the manual clock that this store uses.
#[must_use]
pub fn guard() -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    (RateGuard::in_memory_with(MemoryStore::new().clock(clock.clone())), clock)
}
