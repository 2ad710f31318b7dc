//! The conformance suite for stores.

mod check;
mod refund;
mod subject;

use std::time::Duration;

use self::subject::Subject;
use super::ManualClock;
use crate::{Algorithm, store::Store};

/// The time that a store under test uses.
#[derive(Clone, Debug)]
pub enum Time {
    /// The time of this clock. The suite then checks the microsecond before and the microsecond after each change.
    Manual(ManualClock),
    /// The system's time. The suite then waits with Tokio's timer, about 10 seconds for each algorithm.
    Real,
}

impl Time {
    async fn advance(&self, time: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(time),
            Self::Real => tokio::time::sleep(time).await,
        }
    }

    fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}

/// Checks that a store satisfies the contract of [`Store`], for each of these algorithms.
///
/// The suite uses random keys, so the store may contain other data.
///
/// ```
/// use actix_rateguard_core::{Algorithm, MemoryStore, test_util::{ManualClock, Time, conformance}};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let clock = ManualClock::new();
/// let store = MemoryStore::new().clock(clock.clone());
/// let algorithms = Algorithm::NAMES.map(|(algorithm, _)| algorithm);
/// conformance(&store, Time::Manual(clock), &algorithms).await;
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// If the store violates the contract. The message contains the violated rule.
pub async fn conformance(store: &dyn Store, time: Time, algorithms: &[Algorithm]) {
    for algorithm in algorithms {
        let mut subject = Subject::new(store, time.clone(), *algorithm);
        check::check_all(&mut subject).await;
        refund::check_all(&mut subject).await;
    }
    for (before, after) in
        algorithms.iter().flat_map(|one| algorithms.iter().map(move |other| (one, other)))
    {
        let mut subject = Subject::new(store, time.clone(), *before);
        check::changed_quota_does_not_refill(&mut subject, *after).await;
    }
}
