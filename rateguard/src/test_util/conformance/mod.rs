//! The suite that every store has to pass.

mod deciding;
mod giving_back;
mod subject;

use std::time::Duration;

use self::subject::Subject;
use super::ManualClock;
use crate::{Algorithm, store::Store};

/// How time passes for a store.
#[derive(Clone, Debug)]
pub enum Time {
    /// By this clock. Then the suite looks at the very microsecond before and after a change.
    Manual(ManualClock),
    /// By itself. Then the suite waits, with Tokio's timer, some ten seconds for each algorithm.
    Real,
}

impl Time {
    async fn pass(&self, time: Duration) {
        match self {
            Self::Manual(clock) => clock.advance(time),
            Self::Real => tokio::time::sleep(time).await,
        }
    }

    fn is_manual(&self) -> bool {
        matches!(self, Self::Manual(_))
    }
}

/// Holds a store to the contract of [`Store`], for each of these algorithms.
///
/// It uses keys that nobody else has, so the store may be one that others use, too.
///
/// ```
/// use rateguard::{Algorithm, MemoryStore, test_util::{ManualClock, Time, conformance}};
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
/// If the store breaks the contract. The message says which sentence of it.
pub async fn conformance(store: &dyn Store, time: Time, algorithms: &[Algorithm]) {
    for algorithm in algorithms {
        let mut subject = Subject::new(store, time.clone(), *algorithm);
        deciding::check_all(&mut subject).await;
        giving_back::check_all(&mut subject).await;
    }
    for (before, after) in
        algorithms.iter().flat_map(|one| algorithms.iter().map(move |other| (one, other)))
    {
        let mut subject = Subject::new(store, time.clone(), *before);
        deciding::a_changed_quota_is_no_refill(&mut subject, *after).await;
    }
}
