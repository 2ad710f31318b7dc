//! The conformance suite, which tests whether a store satisfies the contract of the trait `Store`.

mod check;
mod refund;
mod subject;
mod time;

use self::subject::Subject;
pub use self::time::Time;
use crate::{Algorithm, store::Store};

/// Verifies that a store satisfies the contract of [`Store`] with each algorithm in `algorithms`.
///
/// The suite uses random keys, so the store does not need to be empty.
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
/// The function panics if the store violates the contract. The message contains the violated rule.
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
