//! For tests: limits without Redis and without sleeping, stores that fail on demand, the suite that every store has to
//! pass, and which [routes](Routes) have no limit.
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use std::time::Duration;
//! use rateguard::{Key, Policy, test_util};
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
//! A guard with a [`FaultyStore`] shows what an application does when its store is away:
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use rateguard::{Key, MemoryStore, Policy, RateGuard, StoreError, test_util::FaultyStore};
//!
//! let store = FaultyStore::new(MemoryStore::new());
//! let guard = RateGuard::builder().store(store.clone()).build()?;
//! store.fail(StoreError::Unreachable);
//! assert!(guard.check(&Policy::new("login", "1/minute")?, &Key::global()).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```

mod clock;
mod conformance;
mod faulty;
mod routes;

pub use clock::{ManualClock, TokioClock};
pub use conformance::{Time, conformance};
pub use faulty::FaultyStore;
pub use routes::{RouteReportError, Routes};

use crate::{MemoryStore, RateGuard};

/// A guard in memory, and the clock that its time passes by.
#[must_use]
pub fn guard() -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    (RateGuard::in_memory_with(MemoryStore::new().clock(clock.clone())), clock)
}
