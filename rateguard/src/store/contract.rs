//! What a store has to do.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use smallvec::SmallVec;

use super::StoreError;
use crate::{MemoryStore, Quota, bucket::Bucket, level::Level, mode::Mode};

/// Keeps the counts: what every store has to do, ours and yours.
///
/// A store has one task, [`apply`](Self::apply): to do one [`Operation`] on one or several buckets, in **one atomic
/// step**. It sees all that was done before, by whomever, and nobody sees half of it. The [`Algorithm`](crate::Algorithm)
/// of each charge's quota says what counts and for how long.
///
/// - Time is the store's, in whole microseconds, and the same for all who share the store.
/// - Every bucket has a state of its own. A bucket that was never taken from is empty.
/// - A quota comes with each charge, and may be another than the last time: it applies at once to what was counted
///   before. A store that cannot carry over what counted under another algorithm takes it to have come now.
/// - What no longer counts is forgotten in time: a store does not grow for ever.
///
/// `rateguard::test_util::conformance` holds a store to all this.
///
/// Wrap a store of ours to add to it. This one counts what it is asked:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use rateguard::{MemoryStore, RateGuard, store::{Answer, Charge, Operation, Store}};
///
/// struct Counted {
///     store: MemoryStore,
///     asked: AtomicU64,
/// }
///
/// impl Store for Counted {
///     fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
///         self.asked.fetch_add(1, Relaxed);
///         self.store.apply(operation, charges)
///     }
/// }
///
/// let store = Counted { store: MemoryStore::new(), asked: AtomicU64::new(0) };
/// let guard = RateGuard::builder().store(store).build()?;
/// # Ok::<(), rateguard::BuildError>(())
/// ```
pub trait Store: Send + Sync {
    /// Does this to all of these buckets, of which there is at least one and no two are equal.
    ///
    /// The answer has a [`Level`] for each charge, in their order, as it is after the operation.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`] if it cannot be done: then nothing should have been. [`StoreError::Apart`] if these buckets
    /// are in places that no single step reaches; the guard then asks for one key after the other.
    ///
    /// What is answered [later](Answer::Later) has not begun before it is polled, and is dropped when the deadline has
    /// passed.
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a>;

    /// The same for somebody who waits no longer than that. What has not begun by then should not be done, if the store can
    /// tell: else it is counted and nobody hears of it. By default, that is [`apply`](Self::apply).
    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        let _ = deadline;
        self.apply(operation, charges)
    }

    /// Whether it could answer now, as far as it knows without asking anybody.
    ///
    /// # Errors
    ///
    /// Why not.
    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Which of its servers would do this, if it has several: any number, the same for the same server. When one does not
    /// answer, the guard keeps checks away from that one alone.
    fn server(&self, charges: &[Charge<'_>]) -> usize {
        let _ = charges;
        0
    }

    /// Why an operation on these buckets got no answer in time: [`StoreError::Timeout`] if the store is silent, and
    /// [`StoreError::Overloaded`] if it answers, and the operation is late because too many others waited in this process. Then
    /// the guard decides in memory instead of letting the request pass unchecked, and its circuit breaker does not count that.
    /// By default, the store is silent. A store that wraps another one passes this on.
    fn timeout_cause(&self, charges: &[Charge<'_>]) -> StoreError {
        let _ = charges;
        StoreError::Timeout
    }

    /// The guard was [closed](crate::RateGuard::close): nothing more will be asked.
    fn close(&self) {}

    /// Itself, if it is our store in memory: that one always answers at once, so a guard need not be ready for anything else.
    #[doc(hidden)]
    fn as_memory(&self) -> Option<&MemoryStore> {
        None
    }
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        (**self).apply(operation, charges)
    }

    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        (**self).apply_within(deadline, operation, charges)
    }

    fn health(&self) -> Result<(), StoreError> {
        (**self).health()
    }

    fn server(&self, charges: &[Charge<'_>]) -> usize {
        (**self).server(charges)
    }

    fn timeout_cause(&self, charges: &[Charge<'_>]) -> StoreError {
        (**self).timeout_cause(charges)
    }

    fn close(&self) {
        (**self).close();
    }

    fn as_memory(&self) -> Option<&MemoryStore> {
        (**self).as_memory()
    }
}

/// What is done to buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// If every charge has room for its cost, takes all of them but the [gates](Charge::is_gate); else nothing. A cost of
    /// 0 always has room. A cost above the quota's [`max_cost`](Quota::max_cost) never has.
    Check,
    /// Says what [`Check`](Self::Check) would, and changes nothing.
    Peek,
    /// Takes every cost, also where there is no room for it: what was used is used. What is taken beyond the capacity
    /// counts like the rest; a log may leave it out, as all of it would leave at one moment. Of a token bucket no more is
    /// ever missing than [`Quota::MAX_DEBT`], which is all of its burst and more.
    Charge,
    /// Gives back each cost, which is at most what the check of the charge's [`Receipt`] took there. What no longer counts
    /// is not given back, nothing that somebody else took, and nothing twice: of a token bucket, not what would have come
    /// back by itself since.
    Refund,
    /// Forgets what was counted. The cost means nothing.
    Reset,
}

/// A bucket, how much it admits, and how much is asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// What is counted.
    pub bucket: Bucket<'a>,
    /// How much is admitted of it, and how that is counted.
    pub quota: Quota,
    /// How many units are asked for, or given back.
    pub cost: u32,
    /// For [`Operation::Check`] and [`Operation::Peek`]: the bucket has to have room for the cost, and nothing is taken of
    /// it. So a bucket that somebody else empties closes the way.
    pub is_gate: bool,
    /// Nobody waits for the answer, as with what is tried in [shadow](crate::Policy::shadow): a store may let others go first.
    pub is_tried: bool,
    /// For [`Operation::Refund`]: what the store answered when it took what is given back.
    pub receipt: Receipt,
}

impl<'a> Charge<'a> {
    /// A charge for anything but a refund.
    #[must_use]
    pub fn new(bucket: Bucket<'a>, quota: Quota, cost: u32) -> Self {
        let receipt = Receipt::default();
        Self { bucket, quota, cost, is_gate: false, is_tried: false, receipt }
    }

    /// What a check takes of the bucket if it is admitted.
    #[must_use]
    pub fn taken(&self) -> u32 {
        if self.is_gate { 0 } else { self.cost }
    }
}

/// What a store needs to find again what it took, in words of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    words: [u64; 3],
}

impl Receipt {
    /// A receipt with these words, which nobody but the store reads.
    #[must_use]
    pub fn new(words: [u64; 3]) -> Self {
        Self { words }
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> [u64; 3] {
        self.words
    }
}

/// What a store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    allowed: bool,
    levels: SmallVec<[(Level, Receipt); 1]>,
    /// The places of the levels that mean nothing, as who keeps those buckets did not answer.
    unknown: Vec<usize>,
    mode: Mode,
    denied_for_others: bool,
}

impl Verdict {
    /// Whether the charges were, or would be, admitted; and for each of them how its bucket stands, with what the store
    /// needs to give back what it took there.
    pub fn new(allowed: bool, levels: impl IntoIterator<Item = (Level, Receipt)>) -> Self {
        let levels = levels.into_iter().collect();
        Self { allowed, levels, unknown: Vec::new(), mode: Mode::Store, denied_for_others: false }
    }

    /// The same, decided in this way.
    pub(crate) fn by(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The same, that a bucket had no room only because other keys share its count, or not.
    pub(crate) fn denied_for_others(self, denied_for_others: bool) -> Self {
        Self { denied_for_others, ..self }
    }

    /// Whether a bucket had no room only because other keys share its count.
    pub(crate) fn is_denied_for_others(&self) -> bool {
        self.denied_for_others
    }

    /// The same, with nothing known of the buckets of these places.
    pub(crate) fn without(self, unknown: Vec<usize>) -> Self {
        Self { unknown, ..self }
    }

    /// Whether it is known how the bucket of this charge stands.
    pub(crate) fn is_known(&self, place: usize) -> bool {
        !self.unknown.contains(&place)
    }

    /// Whether the charges were, or would be, admitted. Always so for all operations but check and peek.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// How each bucket stands, in the order of the charges.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = Level> {
        self.levels.iter().map(|(level, _)| *level)
    }

    /// What the store needs to give back what it took, in the order of the charges.
    pub fn receipts(&self) -> impl ExactSizeIterator<Item = Receipt> {
        self.levels.iter().map(|(_, receipt)| *receipt)
    }
}

/// A store's answer, at once or later.
pub enum Answer<'a> {
    /// It is there already. Such an answer has no deadline and needs no runtime.
    Now(Result<Verdict, StoreError>),
    /// It is still to come. Nothing has been done before this is polled: who drops it unpolled has asked for nothing.
    Later(Pin<Box<dyn Future<Output = Result<Verdict, StoreError>> + Send + 'a>>),
}

impl Answer<'_> {
    /// Waits for it, without a deadline.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn get(self) -> Result<Verdict, StoreError> {
        match self {
            Self::Now(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(answer) => f.debug_tuple("Now").field(answer).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
