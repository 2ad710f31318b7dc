//! The conformance suite, which tests whether a store satisfies the contract of the trait `Store`.

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
/// should return an error for such a quota.
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
/// conformance(&store, Time::Manual(clock), &[Algorithm::Concurrency]).await;
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
    let (with_permits, rates): (Vec<&Algorithm>, Vec<_>) =
        algorithms.iter().partition(|it| it.has_permits());
    for algorithm in with_permits {
        permits::check_all(&mut Subject::new(store, time.clone(), *algorithm)).await;
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
