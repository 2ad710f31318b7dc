//! The conformance suite, which tests whether a store satisfies the contract of the trait `Store`.

mod calendar;
mod check;
mod documents;
mod permits;
mod refund;
mod subject;
mod time;

use self::subject::Subject;
pub use self::time::Time;
use crate::{Algorithm, store::Store};

/// Verifies that a store satisfies the contract of [`Store`] with each algorithm in `algorithms`.
///
/// For [`Algorithm::Concurrency`], which is not in [`Algorithm::NAMES`], the suite tests permits. A store without permits
/// should return an error for such a quota. For [`Algorithm::Calendar`], the suite tests calendar periods, which requires
/// the feature `calendar`.
///
/// If the store has [documents](Store::documents), the suite also tests the rules of
/// [`DocumentStore`](crate::store::DocumentStore).
///
/// The suite uses random keys, so the store does not need to be empty.
///
/// ```
/// use actix_rateguard_core::{Algorithm, MemoryStore, test_util::{ManualClock, Time, conformance}};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let clock = ManualClock::new();
/// let store = MemoryStore::new().clock(clock.clone());
/// let rates = Algorithm::NAMES.map(|(algorithm, _)| algorithm);
/// conformance(&store, Time::Manual(clock.clone()), &rates).await;
/// // A store that also has permits for requests in progress:
/// conformance(&store, Time::Manual(clock.clone()), &[Algorithm::Concurrency]).await;
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// The function panics if the store violates the contract. The message contains the violated rule.
pub async fn conformance(store: &dyn Store, time: Time, algorithms: &[Algorithm]) {
    if let Some(documents) = store.documents() {
        documents::check_all(documents, &time).await;
    }
    let is_rate = |it: &&Algorithm| !it.has_permits() && **it != Algorithm::Calendar;
    let (rates, others): (Vec<&Algorithm>, Vec<_>) = algorithms.iter().partition(is_rate);
    for algorithm in others {
        let mut subject = Subject::new(store, time.clone(), *algorithm);
        match algorithm.has_permits() {
            true => permits::check_all(&mut subject).await,
            false => calendar::check_all(&mut subject).await,
        }
    }
    for algorithm in &rates {
        let mut subject = Subject::new(store, time.clone(), **algorithm);
        check::check_all(&mut subject).await;
        refund::check_all(&mut subject).await;
    }
    for (before, after) in rates.iter().flat_map(|one| rates.iter().map(move |other| (one, other)))
    {
        let mut subject = Subject::new(store, time.clone(), **before);
        check::changed_quota_does_not_refill(&mut subject, **after).await;
    }
}
