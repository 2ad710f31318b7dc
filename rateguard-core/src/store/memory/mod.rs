//! The store that holds all buckets in the memory of one process, and needs no Redis server.

mod documents;
mod id;
mod overflow;
mod permits;
mod shard;
mod table;

use std::{
    fmt,
    future::ready,
    slice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use smallvec::SmallVec;

use self::{
    documents::Documents,
    id::{BucketHasher, BucketLocation},
    shard::Shard,
};
use super::{
    BucketRequest, BucketStatus, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion,
    DocumentWrite, InProcess, Operation, Receipt, Store, StoreFuture, Verdict,
};
use crate::{
    Algorithm,
    algorithm::{Micros, concurrency::HolderId},
    clock::{Clock, MonotonicClock},
    telemetry::mode::DecisionMode,
};

const DEFAULT_MAX_KEYS: usize = 100_000;
const MAX_SHARDS: usize = 64;
/// The store follows the wall clock if it deviates by more than this, in microseconds. The clocks cannot be read at the
/// same moment, and without a tolerance, the start of a calendar period would differ a little from check to check.
const WALL_CLOCK_TOLERANCE: u64 = 10_000;

/// Stores the buckets of one process in memory.
///
/// This is the default store of a [`RateGuard`](crate::RateGuard). The store needs no async runtime, no timer and no
/// thread, because each check removes a few expired buckets. Each key needs up to 420 bytes for each quota. A
/// sliding-window log needs 16 bytes more for each request after the fourth.
///
/// # Full store
///
/// The number of keys in the store has a maximum. While the store is full, the buckets that are already in the store
/// stay exact. A new key then shares a sliding-window log with other new keys. The hash of the key selects one of a
/// fixed number of shared logs. All keys that share a log together get the limit of a single key. Therefore a client
/// that sends many invented keys can neither make the store forget a denial nor block all other keys.
///
/// If keys contain the address of the client, the store divides its capacity among networks (an IPv4 /16 or an IPv6
/// /29). All keys without an address count as one network. One network can have at most [`max_keys`](Self::max_keys)
/// buckets. The store has room for 25 % more buckets, so that one network cannot fill the store. As the store becomes
/// full, the maximum for each network decreases.
///
/// # Bans
///
/// The store has three separate tables for offences, past bans and active bans. The capacity of each table is an
/// eighth of `max_keys`. Bans therefore start even while the store is full, and the store never removes an active ban
/// early. If the table of offences is full, the store does not count offences of further keys. If the table of active
/// bans is full, the store starts no further bans. A denial that is caused by other keys in a shared log is not an
/// offence.
///
/// # Permits
///
/// The permits of requests in progress are in a separate table without a maximum. It has only the keys that hold
/// permits, so the number of requests in progress bounds its size. Each key is therefore exact, even while the store is
/// full.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    max_keys: usize,
    hasher: BucketHasher,
    shards: Box<[Mutex<Shard>]>,
    /// The id of the next request that takes permits. The ids start at 1, so no request has the id 0 of an empty
    /// receipt.
    next_holder: AtomicU64,
    documents: Documents,
    /// The difference in microseconds between the time since 1970 and the time of the store.
    to_unix: AtomicI64,
}

impl MemoryStore {
    /// Creates an empty store that has room for 100,000 keys of one network, and uses the monotonic clock of the
    /// system.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Arc::new(MonotonicClock::new()),
            max_keys: DEFAULT_MAX_KEYS,
            hasher: BucketHasher::new(),
            shards: shards(DEFAULT_MAX_KEYS),
            next_holder: AtomicU64::new(1),
            documents: Documents::default(),
            to_unix: AtomicI64::new(0),
        }
    }

    /// Sets the approximate maximum number of keys for each network. The maximum for all networks together is 25 %
    /// higher.
    ///
    /// If two policies use a key, the key counts as two keys. The default maximum is 100,000 keys. A full store with
    /// the default maximum needs about 40 MB of memory for one network, or 50 MB for several networks. The lowest valid
    /// maximum is 1. With a maximum of zero, the builder of a guard returns
    /// [`BuildError::MaxKeys`](crate::BuildError::MaxKeys).
    ///
    /// `max_keys` also removes all buckets from the store, so set the maximum before you use the store.
    #[must_use]
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self.shards = shards(max_keys);
        self
    }

    /// Sets the clock. The default is the monotonic clock of the system. A test can set its own clock to control the
    /// time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the id that the permits of these requests get. The id is 0 if the requests take no permits.
    fn holder(&self, requests: &[BucketRequest<'_>]) -> HolderId {
        let takes_permits = |it: &BucketRequest<'_>| it.quota.algorithm().has_permits();
        if requests.iter().any(takes_permits) { self.next_holder.fetch_add(1, Relaxed) } else { 0 }
    }

    /// Returns the difference in microseconds between the time since 1970 and the time `now` of the store. Returns
    /// `None` if no request has a calendar period, because only such requests need this difference.
    fn to_unix(&self, now: Micros, requests: &[BucketRequest<'_>]) -> Option<i64> {
        let is_calendar = |it: &BucketRequest<'_>| it.quota.algorithm() == Algorithm::Calendar;
        requests.iter().any(is_calendar).then(|| {
            let since_1970 = self.clock.since_1970().as_micros() as Micros;
            let (measured, known) =
                (since_1970.wrapping_sub(now) as i64, self.to_unix.load(Relaxed));
            if measured.abs_diff(known) <= WALL_CLOCK_TOLERANCE {
                return known;
            }
            self.to_unix.store(measured, Relaxed);
            measured
        })
    }

    /// Starts an operation on one bucket, whose shard is locked. Returns the time of the operation.
    fn begin(&self, shard: &mut Shard, request: &BucketRequest<'_>) -> Micros {
        let now = self.clock.now().as_micros() as Micros;
        shard.drop_expired(now);
        if let Some(to_unix) = self.to_unix(now, slice::from_ref(request)) {
            shard.to_unix = to_unix;
        }
        now
    }

    /// Checks or debits one bucket with a single lookup in the table. Most operations have only one bucket, so this
    /// method is faster for them than the code for several buckets.
    fn take_one(
        &self,
        operation: Operation,
        request: &BucketRequest<'_>,
    ) -> (bool, BucketStatus, Receipt, DecisionMode) {
        let holder = self.holder(slice::from_ref(request));
        let location = self.hasher.locate(request.bucket, self.shards.len());
        let mut shard = lock(&self.shards[location.shard]);
        let now = self.begin(&mut shard, request);
        shard.with_slot(location, request, now, |slot| {
            let allowed = operation == Operation::Debit || slot.has_room(now, request);
            if allowed {
                slot.add(now, request.taken(), request, holder);
            }
            (allowed, slot.status(now, request), Receipt::new([0, holder, now]), slot.mode())
        })
    }

    /// Takes the cost of the request, or all units that are left if fewer are left. Returns the receipt of the units,
    /// or `None` if no units were taken.
    pub(crate) fn take_available(&self, request: &BucketRequest<'_>) -> Option<Receipt> {
        let holder = self.holder(slice::from_ref(request));
        let location = self.hasher.locate(request.bucket, self.shards.len());
        let mut shard = lock(&self.shards[location.shard]);
        let now = self.begin(&mut shard, request);
        let taken = shard.with_slot(location, request, now, |slot| {
            let units = if slot.has_room(now, request) {
                request.cost
            } else {
                slot.status(now, request).remaining.min(request.cost)
            };
            slot.add(now, units, request, holder);
            units
        });
        (taken > 0).then(|| Receipt::new([0, holder, now]))
    }

    /// Applies the operation immediately. The method waits only for the locks of the shards.
    pub(crate) fn apply_now(
        &self,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Verdict {
        if let ([request], Operation::Check | Operation::Debit) = (requests, operation) {
            let (allowed, status, receipt, mode) = self.take_one(operation, request);
            return Verdict::new(allowed, [(status, receipt)]).by(mode);
        }
        let locations: SmallVec<[BucketLocation; 1]> = requests
            .iter()
            .map(|request| self.hasher.locate(request.bucket, self.shards.len()))
            .collect();
        let mut shards = LockedShards::new(&self.shards, &locations);
        // Read the clock only after the shards are locked. Otherwise a thread with a later time could lock a shard
        // before a thread with an earlier time, and the time in the shard would go back.
        let now = self.clock.now().as_micros() as Micros;
        shards.drop_expired(now);
        if let Some(to_unix) = self.to_unix(now, requests) {
            shards.set_to_unix(to_unix);
        }

        let each = || locations.iter().copied().zip(requests);
        match operation {
            Operation::Check | Operation::Debit => {
                let holder = self.holder(requests);
                let receipt = Receipt::new([0, holder, now]);
                let is_debit = operation == Operation::Debit;
                let (mut allowed, mut mode) = (true, DecisionMode::Store);
                let mut denied_for_others = false;
                for (location, request) in each() {
                    allowed &= shards.get(location).with_slot(location, request, now, |slot| {
                        if slot.mode() != DecisionMode::Store && !request.check_only {
                            mode = slot.mode();
                        }
                        let has_room = is_debit || slot.has_room(now, request);
                        denied_for_others |= !has_room && slot.is_full_of_others(request);
                        has_room
                    });
                }
                let buckets = each().map(|(location, request)| {
                    shards.get(location).with_slot(location, request, now, |slot| {
                        let units = if allowed { request.taken() } else { 0 };
                        slot.add(now, units, request, holder);
                        (slot.status(now, request), receipt)
                    })
                });
                Verdict::new(allowed, buckets).by(mode).denied_for_others(denied_for_others)
            }
            Operation::Peek => {
                let buckets: SmallVec<[(BucketStatus, Receipt); 1]> =
                    each().map(|it| (shards.peek(it, now), Receipt::default())).collect();
                let allowed =
                    buckets.iter().all(|(status, _)| status.retry_after == Some(Duration::ZERO));
                Verdict::new(allowed, buckets)
            }
            Operation::Renew => {
                let is_held = each().all(|(location, request)| {
                    shards.get(location).is_held(location, request, now)
                });
                if is_held {
                    for (location, request) in each() {
                        shards.get(location).renew(location, request, now);
                    }
                }
                let buckets = each().map(|it| (shards.peek(it, now), Receipt::default()));
                Verdict::new(is_held, buckets)
            }
            // A check of this store is as fast as a lease, so the store grants none, and none is returned.
            Operation::Lease | Operation::Return => {
                let buckets = each().map(|it| (shards.peek(it, now), Receipt::default()));
                Verdict::new(operation == Operation::Return, buckets)
            }
            Operation::Refund | Operation::Reset => {
                for (location, request) in each() {
                    let shard = shards.get(location);
                    if operation == Operation::Reset {
                        shard.reset(location, request, now);
                    } else {
                        shard.refund(location, request, now);
                    }
                }
                Verdict::new(true, each().map(|it| (shards.peek(it, now), Receipt::default())))
            }
        }
    }
}

impl Store for MemoryStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Ready(Ok(self.apply_now(operation, requests)))
    }

    fn documents(&self) -> Option<&dyn DocumentStore> {
        Some(self)
    }

    fn in_process(&self) -> Option<&dyn InProcess> {
        Some(self)
    }
}

impl DocumentStore for MemoryStore {
    fn read<'a>(
        &'a self,
        name: &'a str,
        last: Option<DocumentVersion>,
    ) -> DocumentFuture<'a, DocumentRead> {
        Box::pin(ready(Ok(self.documents.read(name, last, self.clock.now()))))
    }

    fn write<'a>(
        &'a self,
        name: &'a str,
        write: DocumentWrite<'a>,
    ) -> DocumentFuture<'a, Option<DocumentVersion>> {
        Box::pin(ready(Ok(self.documents.write(name, &write, self.clock.now()))))
    }
}

impl InProcess for MemoryStore {
    fn check_one(&self, request: &BucketRequest<'_>) -> (bool, BucketStatus, bool) {
        let (allowed, status, _, mode) = self.take_one(Operation::Check, request);
        (allowed, status, mode == DecisionMode::Overflow)
    }

    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn max_keys(&self) -> usize {
        self.max_keys
    }

    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).keys()).sum()
    }
}

/// The locked shards of all buckets of one operation. Each operation locks its shards in ascending order, and each
/// shard only once, so two operations cannot deadlock.
struct LockedShards<'a> {
    shards: SmallVec<[(usize, MutexGuard<'a, Shard>); 1]>,
}

impl<'a> LockedShards<'a> {
    fn new(shards: &'a [Mutex<Shard>], locations: &[BucketLocation]) -> Self {
        let mut indices: SmallVec<[usize; 1]> =
            locations.iter().map(|location| location.shard).collect();
        indices.sort_unstable();
        indices.dedup();
        Self { shards: indices.into_iter().map(|index| (index, lock(&shards[index]))).collect() }
    }

    fn drop_expired(&mut self, now: Micros) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.drop_expired(now));
    }

    fn set_to_unix(&mut self, to_unix: i64) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.to_unix = to_unix);
    }

    fn get(&mut self, location: BucketLocation) -> &mut Shard {
        let position = self.shards.partition_point(|(index, _)| *index < location.shard);
        // This shard is in the list, because `new` has locked the shards of all locations.
        &mut self.shards[position].1
    }

    fn peek(
        &mut self,
        (location, request): (BucketLocation, &BucketRequest<'_>),
        now: Micros,
    ) -> BucketStatus {
        self.get(location).peek(location, request, now)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Even after a panic, a later check can use every state of a shard, so it is safe to use a poisoned lock.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

/// Creates shards that together have room for `max_keys` keys. If there are several shards, each shard has room for
/// at least 64 keys, so the hash distributes the keys almost evenly.
fn shards(max_keys: usize) -> Box<[Mutex<Shard>]> {
    let count = (max_keys / MAX_SHARDS).clamp(1, MAX_SHARDS);
    let each = max_keys.div_ceil(count).max(1);
    (0..count).map(|_| Mutex::new(Shard::new(each))).collect()
}
