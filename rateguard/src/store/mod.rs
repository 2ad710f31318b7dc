//! Where it is counted: stores decide one request in one atomic step.

mod error;
mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;

use futures_util::future::{BoxFuture, Either, Ready};

pub use error::StoreError;
pub use memory::MemoryStore;

use crate::{Decision, Quota, bucket::Bucket};

/// What a store answers, at once or later.
pub(crate) type Answer<'a> =
    Either<Ready<Result<Decision, StoreError>>, BoxFuture<'a, Result<Decision, StoreError>>>;

/// Keeps the counts.
///
/// A check is atomic: it sees all that was admitted before, by whomever, and a denial changes nothing.
pub(crate) trait Store: Send + Sync {
    /// Decides one request of this bucket and records it if it is admitted.
    fn check<'a>(&'a self, bucket: Bucket<'a>, quota: Quota) -> Answer<'a>;

    /// A check was given up because its deadline had passed, so that the store can look after its connection.
    fn missed_deadline(&self) {}
}
