//! Utilities for tests: guards that need no Redis and no real waiting time, stores that fail on demand, a conformance
//! suite for stores, and [`Routes`], which finds routes without a limit.
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use std::time::Duration;
//! use actix_rateguard::{Key, Policy, test_util};
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
//! With a [`FaultyStore`], a test can check how the application behaves while the store does not answer:
//!
//! ```
//! # futures_util::FutureExt::now_or_never(async {
//! use actix_rateguard::{Key, MemoryStore, Policy, RateGuard, StoreError, test_util::FaultyStore};
//!
//! let store = FaultyStore::new(MemoryStore::new());
//! let guard = RateGuard::builder().store(store.clone()).build()?;
//! store.fail(StoreError::Unreachable(None));
//! assert!(guard.check(&Policy::new("login", "1/minute")?, &Key::global()).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap().unwrap();
//! ```

mod routes;

pub use actix_rateguard_core::test_util::{
    FaultyStore, ManualClock, Time, TokioClock, conformance, decision,
};

pub use self::routes::{RouteReportError, Routes};
use actix_rateguard_core as core;

use crate::{MemoryStore, RateGuard};

/// Returns a guard that counts in memory, and the manual clock that this guard uses.
#[must_use]
pub fn guard() -> (RateGuard, ManualClock) {
    let clock = ManualClock::new();
    (core::RateGuard::in_memory_with(MemoryStore::new().clock(clock.clone())).into(), clock)
}
