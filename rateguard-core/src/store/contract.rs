//! Defines the trait [`Store`], the requests that a store gets, and the results that a store returns.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use smallvec::SmallVec;

use super::{StoreError, document::DocumentStore, keyspace::Keyspace, statistics::StatisticsStore};
use crate::{Quota, bucket_status::BucketStatus, key::Bucket, telemetry::mode::DecisionMode};

/// Stores buckets, and applies operations to them.
///
/// The only required method is [`apply`](Self::apply). It applies one [`Operation`] to one or more buckets
/// **atomically**: the operation observes the changes of all earlier operations of all clients, and every other
/// operation observes either all of its changes or none of its changes. The [`Algorithm`](crate::Algorithm) of each
/// request's quota defines which units count, and for how long.
///
/// - All times are whole microseconds on the clock of the store, so all clients of the store use the same time.
/// - Each bucket has its own state. A new bucket counts no units.
/// - Each request has a quota. If the last request for the bucket had a different quota, the new quota applies
///   immediately to the units that already count. If the algorithm changes, the store cannot always convert the times
///   of the units. If it cannot, the store counts the units as if they were taken now.
/// - A quota with permits ([`Algorithm::Concurrency`](crate::Algorithm::Concurrency)) limits requests in progress. A
///   check takes a permit for each unit of its cost. The permit counts until a refund releases it or until its lease
///   ends: one [window](Quota::window) of the quota after the check or after the last [renewal](Operation::Renew). Such
///   a bucket is separate from a bucket with a rate, even if the name, the index and the key are equal, so neither of
///   them carries over units to the other.
/// - The units of a quota with a calendar period ([`Algorithm::Calendar`](crate::Algorithm::Calendar)) count until the
///   end of this period on the clock of the store. [`calendar_bounds`](super::calendar_bounds) returns this end.
/// - A store removes expired units, so that the store does not grow without bound.
///
/// `actix_rateguard_core::test_util::conformance` tests a store against all of these rules.
///
/// To extend a built-in store, write a store that wraps it. The following wrapper counts the operations:
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
    /// Applies the operation to the buckets of all requests. There is at least one request, and no two requests have
    /// the same bucket.
    ///
    /// The verdict has one [`BucketStatus`] for each request, in the order of the requests. This is the status of the
    /// request's bucket after the operation.
    ///
    /// A [pending](StoreFuture::Pending) operation must not start before the future is polled. The guard drops the
    /// future at the deadline, even if the future was never polled.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the operation failed. A failed operation should not have changed any bucket. Returns
    /// [`StoreError::CrossSlot`] if the store cannot apply the operation to all of these buckets atomically. The guard
    /// then sends a separate operation for each key. If no variant describes the failure, return [`StoreError::Other`]
    /// with a constant text, such as `StoreError::Other("the table is locked")`.
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a>;

    /// Applies the operation for a caller that waits at most `deadline`.
    ///
    /// A store should not start an operation after the deadline, because the store would then take units although no
    /// caller receives the result. The default implementation ignores the deadline and calls [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`apply`](Self::apply).
    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        let _ = deadline;
        self.apply(operation, requests)
    }

    /// Returns an error if the store is unavailable. The method uses only the current state of the store, and no
    /// network access. The default is `Ok`.
    ///
    /// # Errors
    ///
    /// Returns the reason why the store is unavailable.
    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the number of the server that stores these buckets. The default is 0, which is correct for a store
    /// with one server.
    ///
    /// The guard has one circuit breaker for each server, so a failure of one server does not affect the checks on
    /// other servers.
    fn server(&self, requests: &[BucketRequest<'_>]) -> usize {
        let _ = requests;
        0
    }

    /// Returns the reason why an operation on the buckets of `requests` did not end before the deadline.
    ///
    /// - [`StoreError::Timeout`], the default, means that the store does not reply.
    /// - [`StoreError::Overloaded`] means that the store replies, but too many operations of this process wait for
    ///   the store. The guard then decides in memory, whatever the failure mode of the policy is, and the circuit
    ///   breaker does not count a failure.
    ///
    /// A store that wraps another store should call this method of the wrapped store.
    fn timeout_cause(&self, requests: &[BucketRequest<'_>]) -> StoreError {
        let _ = requests;
        StoreError::Timeout
    }

    /// Returns true if the futures of [`apply_with_deadline`](Self::apply_with_deadline) end at the deadline by
    /// themselves. Otherwise, the guard drops the future at the deadline.
    #[doc(hidden)]
    fn holds_deadline(&self) -> bool {
        false
    }

    /// Returns the number of open connections to servers, or `None` if the store does not count its connections.
    #[doc(hidden)]
    fn connections(&self) -> Option<usize> {
        None
    }

    /// Closes the store. The guard calls this method when the guard is [closed](crate::RateGuard::close), and applies
    /// no operation afterwards.
    fn close(&self) {}

    /// Returns the server and the key prefix of a store on Redis or Upstash.
    #[doc(hidden)]
    fn keyspace(&self) -> Option<&Keyspace> {
        None
    }

    /// Returns true if the store applies [`Operation::Lease`] and [`Operation::Return`]. The default is false. The
    /// guard then ignores the leases of quotas, and asks the store for each check.
    fn supports_leases(&self) -> bool {
        false
    }

    /// Returns the part of the store that has shared documents. The default is `None`. A guard with such a store has no
    /// [overrides](crate::RateGuardBuilder::overrides).
    ///
    /// A store that wraps another store should call this method of the wrapped store.
    fn documents(&self) -> Option<&dyn DocumentStore> {
        None
    }

    /// Returns the part of the store that has the shared statistics. The default is `None`. The statistics of a guard with
    /// such a store are those of its process alone.
    ///
    /// A store that wraps another store should call this method of the wrapped store.
    fn statistics(&self) -> Option<&dyn StatisticsStore> {
        None
    }

    /// Returns the store itself if it is a [`MemoryStore`](crate::MemoryStore). For such a store, the guard has a
    /// fast path that creates no future.
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

    fn holds_deadline(&self) -> bool {
        (**self).holds_deadline()
    }

    fn connections(&self) -> Option<usize> {
        (**self).connections()
    }

    fn close(&self) {
        (**self).close();
    }

    fn keyspace(&self) -> Option<&Keyspace> {
        (**self).keyspace()
    }

    fn supports_leases(&self) -> bool {
        (**self).supports_leases()
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        (**self).documents()
    }

    fn statistics(&self) -> Option<&dyn StatisticsStore> {
        (**self).statistics()
    }

    fn in_process(&self) -> Option<&dyn InProcess> {
        (**self).in_process()
    }
}

/// The operations that a store in the memory of this process completes without a future.
#[doc(hidden)]
pub trait InProcess {
    /// Checks the bucket of one request. Returns three values: whether the request is allowed, the status of the
    /// bucket, and whether the key uses a shared log because the store is full.
    fn check_one(&self, request: &BucketRequest<'_>) -> (bool, BucketStatus, bool);

    /// Returns the time on the clock of the store.
    fn now(&self) -> Duration;

    /// Returns the number of buckets in the store.
    fn keys(&self) -> usize;

    /// Returns the maximum number of keys for one network. If the number is zero, the builder of a guard returns an
    /// error.
    fn max_keys(&self) -> usize;
}

/// An operation that a store applies to buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Takes the cost of each request from its bucket if all costs fit. If one cost does not fit, takes no units.
    ///
    /// A check takes no units for a request that is [`check_only`](BucketRequest::check_only). A cost of 0 always
    /// fits. A cost that is larger than [`max_cost`](Quota::max_cost) of the quota never fits.
    Check,
    /// Decides on the requests like a [`Check`](Self::Check), but changes no bucket.
    Peek,
    /// Takes the cost of each request from its bucket, even if the cost does not fit.
    ///
    /// Units above the capacity count like all other units, with two exceptions. If the cost of one request is larger
    /// than the capacity, a log can omit the units above the capacity, because all units of the request expire at the
    /// same time. The debt of a token bucket is at most [`Quota::MAX_DEBT`], which is more than the burst.
    Debit,
    /// Returns the cost of each request to its bucket.
    ///
    /// The [`Receipt`] of the request identifies the earlier check that took the units. The cost is at most the number
    /// of these units. The store refunds no expired units and no units of other checks, and refunds no unit twice. A
    /// token bucket regains tokens over time. So the store does not refund tokens that the bucket can already have
    /// regained.
    Refund,
    /// Starts a new lease of the permits that an earlier check took, if all of them are still valid.
    ///
    /// The [`Receipt`] of each request identifies the check, and the cost is the number of its permits. If a permit has
    /// expired or was released, the store renews no permit of the operation, and the verdict is not
    /// [allowed](Verdict::is_allowed). A renewal never revives a permit that has expired, because another client may
    /// have taken it. A request for a bucket with a rate renews nothing and changes nothing.
    ///
    /// Return an error from a store that has no permits. The guard then treats the permits as expired after one lease.
    Renew,
    /// Takes the cost of the request for a lease, if it fits. The request has one bucket, whose quota has a
    /// [lease](Quota::lease).
    ///
    /// The decision is that of a [`Check`](Self::Check), but the store can also deny a lease for a reason of its own, for
    /// example if the bucket has too many of them. The units count as taken at the end of the lease, which is one
    /// duration of the lease from now. So in a log, they count from now until one window after the lease has ended. A
    /// token bucket is not refilled with these tokens before that end: it regains at most its capacity, minus the tokens
    /// of open leases. The guard uses this operation only for a store with
    /// [`supports_leases`](Store::supports_leases).
    Lease,
    /// Returns the units of a lease. The [`Receipt`] of the request identifies the lease, and the cost is the number of
    /// its units.
    ///
    /// The store moves each unit that was used to the time in [`uses`](BucketRequest::uses), and removes the other
    /// units. It never moves a unit to a later time and never adds one, so a return may come late or several times. A
    /// unit that no longer exists stays removed. A token bucket has no times of single tokens: before the end of the
    /// lease, the store returns the unused tokens to it, and treats the others as taken now. After the end of the lease,
    /// or if the store does not find the lease, it does nothing.
    Return,
    /// Removes all units from the buckets. The store ignores the cost. The units of [leases](Self::Lease) that have not
    /// ended stay, because a process may still use them.
    Reset,
}

/// One bucket of an operation, with its quota and with the number of units that the store takes or refunds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BucketRequest<'a> {
    /// The bucket.
    pub bucket: Bucket<'a>,
    /// The quota of the bucket: limit, window, algorithm and burst.
    pub quota: Quota,
    /// The number of units that the store takes or refunds.
    pub cost: u32,
    /// If true, the cost must fit, but the store does not take the cost from this bucket. For example, the guard uses
    /// this field to find out whether a ban has ended without taking units from the bucket of the ban. Only
    /// [`Operation::Check`] and [`Operation::Peek`] use this field.
    pub check_only: bool,
    /// If true, the request has low priority, so a store can handle all waiting requests with normal priority first.
    /// For example, a check in [shadow mode](crate::Policy::shadow) has low priority, because its result does not
    /// affect any response. A store can also ignore this field.
    pub low_priority: bool,
    /// The receipt that the store returned for the check or the lease that took the units. Only [`Operation::Refund`],
    /// [`Operation::Renew`] and [`Operation::Return`] use this field.
    pub receipt: Receipt,
    /// If true, a permit that the request takes has no lease: it counts until its release. The guard uses this field
    /// for a store in the memory of its own process, because such a store and the holder of the permit end together.
    /// Other stores can ignore this field.
    pub without_lease: bool,
    /// For [`Operation::Return`]: for each unit of the lease, an upper bound of the time of its use, in microseconds
    /// after the grant of the lease. It is 0 if the unit was not used, and the list may end before the last unused
    /// units. All other operations ignore this field.
    pub uses: &'a [u32],
}

impl<'a> BucketRequest<'a> {
    /// Creates a request for any operation. [`Operation::Refund`] and [`Operation::Renew`] also need a receipt.
    #[must_use]
    pub fn new(bucket: Bucket<'a>, quota: Quota, cost: u32) -> Self {
        let receipt = Receipt::default();
        Self {
            bucket,
            quota,
            cost,
            check_only: false,
            low_priority: false,
            receipt,
            without_lease: false,
            uses: &[],
        }
    }

    /// Returns the number of units that the store takes if it admits the request. This is the cost, or 0 if the
    /// request is [`check_only`](Self::check_only).
    #[must_use]
    pub fn taken(&self) -> u32 {
        if self.check_only { 0 } else { self.cost }
    }
}

/// The data that a store needs to refund the units of a check. Each store has its own format for this data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    words: [u64; 3],
}

impl Receipt {
    /// Creates a receipt from three numbers, whose meaning is defined by the store that creates the receipt.
    #[must_use]
    pub fn new(words: [u64; 3]) -> Self {
        Self { words }
    }

    /// Returns the three numbers of the receipt.
    #[must_use]
    pub fn words(&self) -> [u64; 3] {
        self.words
    }
}

/// The result of an operation on one or more buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    allowed: bool,
    buckets: SmallVec<[(BucketStatus, Receipt); 1]>,
    /// The indices of the buckets that have no status, because their server did not reply.
    unknown: Vec<usize>,
    mode: DecisionMode,
    denied_for_others: bool,
}

impl Verdict {
    /// Creates the result of an operation.
    ///
    /// `allowed` is true if the store admitted the requests. For a peek, `allowed` is true if the store would admit
    /// the requests. `buckets` has the status and the receipt of each bucket, in the order of the requests.
    pub fn new(allowed: bool, buckets: impl IntoIterator<Item = (BucketStatus, Receipt)>) -> Self {
        Self {
            allowed,
            buckets: buckets.into_iter().collect(),
            unknown: Vec::new(),
            mode: DecisionMode::Store,
            denied_for_others: false,
        }
    }

    /// Sets the decision mode, which says how the decision was made.
    pub(crate) fn by(self, mode: DecisionMode) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn mode(&self) -> DecisionMode {
        self.mode
    }

    /// Sets whether a bucket had no room only because other keys use the same shared log.
    pub(crate) fn denied_for_others(self, denied_for_others: bool) -> Self {
        Self { denied_for_others, ..self }
    }

    /// Returns true if a bucket had no room only because other keys use the same shared log. Such a denial does not
    /// count as an offence of the client.
    pub(crate) fn is_denied_for_others(&self) -> bool {
        self.denied_for_others
    }

    /// Marks the buckets with these indices as buckets without a status.
    pub(crate) fn without(self, unknown: Vec<usize>) -> Self {
        Self { unknown, ..self }
    }

    /// Returns true if the bucket with this index has a status.
    pub(crate) fn is_known(&self, index: usize) -> bool {
        !self.unknown.contains(&index)
    }

    /// Returns true if the store admitted the requests. For a peek, returns true if the store would admit the requests.
    /// For a renewal, returns true if the store renewed all permits. For debits, refunds and resets, always returns
    /// true.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Returns the status of each bucket. The order is the order of the requests.
    pub fn statuses(&self) -> impl ExactSizeIterator<Item = BucketStatus> {
        self.buckets.iter().map(|(status, _)| *status)
    }

    /// Returns the receipt of each bucket. The order is the order of the requests.
    pub fn receipts(&self) -> impl ExactSizeIterator<Item = Receipt> {
        self.buckets.iter().map(|(_, receipt)| *receipt)
    }
}

/// The result of a store operation: either a result that is ready, or a future that returns the result.
pub enum StoreFuture<'a> {
    /// The operation is complete. The guard uses this result immediately, and needs no deadline and no async runtime.
    Ready(Result<Verdict, StoreError>),
    /// The operation is not complete. The operation must not start before this future is polled. If the guard drops the
    /// future before the first poll, the store must not change.
    Pending(Pin<Box<dyn Future<Output = Result<Verdict, StoreError>> + Send + 'a>>),
}

impl StoreFuture<'_> {
    /// Waits for the result. There is no deadline.
    ///
    /// # Errors
    ///
    /// Returns the error of the store if the operation failed.
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
