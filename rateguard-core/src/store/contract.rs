//! The trait [`Store`], its requests and its results.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use smallvec::SmallVec;

use super::StoreError;
use crate::{Quota, bucket_status::BucketStatus, key::Bucket, telemetry::mode::DecisionMode};

/// Stores the buckets and applies operations to them.
///
/// The only required method is [`apply`](Self::apply). It applies one [`Operation`] to one or more buckets
/// **atomically**: the operation observes all earlier operations of all clients, and no other operation observes a part
/// of its changes. The [`Algorithm`](crate::Algorithm) of each request's quota defines which units count, and for how
/// long.
///
/// - All times are times of the store's clock, in integer microseconds. All clients of the store therefore use the same
///   time.
/// - Each bucket has its own state. A bucket from which no unit was taken is empty.
/// - Each request has a quota. If the quota differs from that of the last request for the bucket, the new quota applies
///   immediately to the units that already count. A store that cannot convert units from another algorithm counts them
///   as taken now.
/// - A store removes expired units, so that it does not grow without bound.
///
/// `actix_rateguard_core::test_util::conformance` has tests for all of these rules.
///
/// Wrap a built-in store to extend it. This wrapper counts the operations:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use actix_rateguard_core::{MemoryStore, RateGuard, store::{StoreFuture, BucketRequest, Operation, Store}};
///
/// struct CountingStore {
///     store: MemoryStore,
///     operations: AtomicU64,
/// }
///
/// impl Store for CountingStore {
///     fn apply<'a>(&'a self, operation: Operation, requests: &'a [BucketRequest<'a>]) -> StoreFuture<'a> {
///         self.operations.fetch_add(1, Relaxed);
///         self.store.apply(operation, requests)
///     }
/// }
///
/// let store = CountingStore { store: MemoryStore::new(), operations: AtomicU64::new(0) };
/// let guard = RateGuard::builder().store(store).build()?;
/// # Ok::<(), actix_rateguard_core::BuildError>(())
/// ```
pub trait Store: Send + Sync {
    /// Applies the operation to all of these buckets. There is at least one request, and no two requests have the same
    /// bucket.
    ///
    /// The verdict has one [`BucketStatus`] per request, in the order of the requests, after the operation.
    ///
    /// A [pending](StoreFuture::Pending) operation must not start before the future is polled. The guard drops the
    /// future at the deadline, even before the first poll.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] if the operation failed. In this case the store should not have changed any bucket.
    /// [`StoreError::CrossSlot`] if the store cannot apply the operation to all of these buckets atomically. The guard
    /// then sends one operation for each key. For a failure that has no variant, return
    /// [`StoreError::Other`] with a constant text, such as `StoreError::Other("the table is locked")`.
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a>;

    /// Applies the operation for a caller that waits at most `deadline`.
    ///
    /// A store should not start an operation after the deadline, because the store would take units although no caller
    /// receives the result. The default implementation calls [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// As for [`apply`](Self::apply).
    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let _ = deadline;
        self.apply(operation, requests)
    }

    /// Reports whether the store is available, from its current state and without network access. The default is `Ok`.
    ///
    /// # Errors
    ///
    /// The reason why the store is unavailable.
    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns a number for the server that stores these buckets. The default is 0, for a store with one server.
    ///
    /// The guard has one circuit breaker per server, so that a failed server does not affect checks on other servers.
    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        let _ = requests;
        0
    }

    /// Returns the reason why an operation on these buckets had no result before its deadline.
    ///
    /// - [`StoreError::Timeout`], the default: the store does not reply.
    /// - [`StoreError::Overloaded`]: the store replies, but too many other operations of this process waited for it.
    ///   The guard then decides in memory, for every failure mode of the policy, and the circuit breaker does not count
    ///   a failure.
    ///
    /// A store that wraps another store should call this method of the other store.
    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        let _ = requests;
        StoreError::Timeout
    }

    /// Closes the store, because the guard was [closed](crate::RateGuard::close). No operation follows.
    fn close(&self) {}

    /// Returns the store if it is a [`MemoryStore`](crate::MemoryStore), for which the guard has a fast path without a
    /// future.
    #[doc(hidden)]
    fn in_process(&self) -> Option<&dyn InProcess> {
        None
    }
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        (**self).apply(operation, requests)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        (**self).apply_with_deadline(deadline, operation, requests)
    }

    fn health(&self) -> Result<(), StoreError> {
        (**self).health()
    }

    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        (**self).server(requests)
    }

    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        (**self).timeout_cause(requests)
    }

    fn close(&self) {
        (**self).close();
    }

    fn in_process(&self) -> Option<&dyn InProcess> {
        (**self).in_process()
    }
}

/// The operations of a store in this process that need no future.
#[doc(hidden)]
pub trait InProcess {
    /// Checks one bucket. Returns three values: whether the request is allowed, the status of the bucket, and whether
    /// the store is full and the key therefore uses a shared log.
    fn check_one(&self, request: &BucketRequest<'_>) -> (bool, BucketStatus, bool);

    /// Returns the number of stored buckets.
    fn keys(&self) -> usize;

    /// Returns the maximum number of keys of one network. The builder of a guard rejects zero.
    fn max_keys(&self) -> usize;
}

/// An operation on buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Takes the cost of each request if all costs fit. Otherwise takes no units.
    ///
    /// A check takes no units from a bucket whose request has [`check_only`](BucketRequest::check_only). A cost of 0
    /// always fits. A cost above the quota's [`max_cost`](Quota::max_cost) never fits.
    Check,
    /// Returns the verdict that [`Check`](Self::Check) would return, and changes no bucket.
    Peek,
    /// Takes the cost of each request, even beyond the capacity.
    ///
    /// Units beyond the capacity count like all others. A log may omit units of one request beyond the capacity,
    /// because all units of the request expire at the same time. The debt of a token bucket is at most
    /// [`Quota::MAX_DEBT`], which is more than its burst.
    Debit,
    /// Returns the cost of each request to its bucket.
    ///
    /// The cost is at most the number of units that the earlier check took from the bucket. The request's [`Receipt`]
    /// identifies this check. The store refunds neither expired units nor units of other requests, and refunds no unit
    /// twice. For a token bucket, the store does not refund tokens that the refill may already have returned.
    Refund,
    /// Removes all units from the buckets. The cost is ignored.
    Reset,
}

/// A bucket, its quota, and the number of units that the store takes from the bucket or returns to the bucket.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BucketRequest<'a> {
    /// The bucket.
    pub bucket: Bucket<'a>,
    /// The limit, window, algorithm and burst of the bucket.
    pub quota: Quota,
    /// The number of units to take or to refund.
    pub cost: u32,
    /// For [`Operation::Check`] and [`Operation::Peek`]: the cost must fit, but the store does not take the cost from
    /// this bucket. For example, the guard only reads the bucket of a ban: other operations take the units from such a
    /// bucket.
    pub check_only: bool,
    /// Whether the request can wait until no other request waits. An example is a check in
    /// [shadow](crate::Policy::shadow), because its result does not affect a response. A store may ignore this field.
    pub low_priority: bool,
    /// For [`Operation::Refund`]: the receipt that the store returned for the check that took the units.
    pub receipt: Receipt,
}

impl<'a> BucketRequest<'a> {
    /// Creates a request for any operation except [`Operation::Refund`], which needs a receipt.
    #[must_use]
    pub fn new(bucket: Bucket<'a>, quota: Quota, cost: u32) -> Self {
        let receipt = Receipt::default();
        Self { bucket, quota, cost, check_only: false, low_priority: false, receipt }
    }

    /// Returns the number of units that the store takes if it admits the request: the cost, or 0 for a
    /// [`check_only`](Self::check_only) request.
    #[must_use]
    pub fn taken(&self) -> u32 {
        if self.check_only { 0 } else { self.cost }
    }
}

/// The data that a store needs to refund units. Each store has its own format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    words: [u64; 3],
}

impl Receipt {
    /// Creates a receipt from these words, which only the store reads.
    #[must_use]
    pub fn new(words: [u64; 3]) -> Self {
        Self { words }
    }

    /// Returns the words.
    #[must_use]
    pub fn words(&self) -> [u64; 3] {
        self.words
    }
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    allowed: bool,
    buckets: SmallVec<[(BucketStatus, Receipt); 1]>,
    /// The indices of buckets without a status, because their server did not reply.
    unknown: Vec<usize>,
    mode: DecisionMode,
    denied_for_others: bool,
}

impl Verdict {
    /// Creates the result of an operation.
    ///
    /// `allowed` is true if the store admitted the requests, or for a peek, if the store would admit them. `buckets`
    /// has the status and the receipt of each bucket, in the order of the requests.
    pub fn new(allowed: bool, buckets: impl IntoIterator<Item = (BucketStatus, Receipt)>) -> Self {
        Self {
            allowed,
            buckets: buckets.into_iter().collect(),
            unknown: Vec::new(),
            mode: DecisionMode::Store,
            denied_for_others: false,
        }
    }

    /// Sets the mode, which names the component that made the decision.
    pub(crate) fn by(self, mode: DecisionMode) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn mode(&self) -> DecisionMode {
        self.mode
    }

    /// Sets whether a bucket was full only because of other keys in a shared log.
    pub(crate) fn denied_for_others(self, denied_for_others: bool) -> Self {
        Self { denied_for_others, ..self }
    }

    /// Whether a bucket was full only because of other keys in a shared log. Such a denial is not an offence of the
    /// client.
    pub(crate) fn is_denied_for_others(&self) -> bool {
        self.denied_for_others
    }

    /// Marks the status of the buckets with these indices as unavailable.
    pub(crate) fn without(self, unknown: Vec<usize>) -> Self {
        Self { unknown, ..self }
    }

    /// Whether the status of the bucket with this index is available.
    pub(crate) fn is_known(&self, index: usize) -> bool {
        !self.unknown.contains(&index)
    }

    /// Whether the store admitted the requests, or for a peek, would admit them. Always true for operations other than
    /// check and peek.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Returns the status of each bucket, in the order of the requests.
    pub fn statuses(&self) -> impl ExactSizeIterator<Item = BucketStatus> {
        self.buckets.iter().map(|(status, _)| *status)
    }

    /// Returns the receipt of each bucket, in the order of the requests.
    pub fn receipts(&self) -> impl ExactSizeIterator<Item = Receipt> {
        self.buckets.iter().map(|(_, receipt)| *receipt)
    }
}

/// The result of a store operation: available now, or a future that waits for it.
pub enum StoreFuture<'a> {
    /// The operation is complete. The guard uses the result immediately, without a deadline or a runtime.
    Ready(Result<Verdict, StoreError>),
    /// The operation starts when this future is first polled. If the guard drops the future before the first poll, the
    /// store does not change.
    Pending(Pin<Box<dyn Future<Output = Result<Verdict, StoreError>> + Send + 'a>>),
}

impl StoreFuture<'_> {
    /// Waits for the result, without a deadline.
    ///
    /// # Errors
    ///
    /// The error of the store.
    pub async fn get(self) -> Result<Verdict, StoreError> {
        match self {
            Self::Ready(result) => result,
            Self::Pending(future) => future.await,
        }
    }
}

impl fmt::Debug for StoreFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(result) => f.debug_tuple("Ready").field(result).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
