//! The in-memory store: one process, no Redis.

mod id;
mod overflow;
mod shard;
mod table;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;

use self::{
    id::{BucketHasher, BucketSlot},
    shard::Shard,
};
use super::{BucketRequest, BucketStatus, Operation, Receipt, Store, StoreFuture, Verdict};
use crate::{
    algorithm::Micros,
    clock::{Clock, MonotonicClock},
    telemetry::mode::DecisionMode,
};

const DEFAULT_MAX_KEYS: usize = 100_000;
const MAX_SHARDS: usize = 64;

/// Keeps the counts of one process in its memory.
///
/// This is the default store of a [`RateGuard`](crate::RateGuard). It needs no runtime, no timer and no thread:
/// what has expired is dropped by later checks, a little each. It takes up to 420 bytes for each key and quota, and
/// 16 more for each request in a log beyond the fourth.
///
/// It holds counts of a bounded number of keys. While it is full, the counts that it has stay exact, and keys that
/// are new share a number of logs between them, chosen by their hash: together they are held to the limit that each
/// of them has. So a flood of invented keys neither frees a key that was denied nor shuts out all others.
///
/// Room is shared out by network, where a key tells its client's address: one network (an IPv4 /16, an IPv6 /29), or all keys
/// without an address together, have [`max_keys`](Self::max_keys) at the most, and a quarter as much more is there for
/// others. The more room is taken, the less of it a single network may have.
///
/// Bans have room of their own: for an eighth as many offenders as keys, earlier bans, and bans that are under way, each
/// apart. So bans begin also while the store is full, and none is forgotten before it is over. An offence for which there is
/// no room is not counted, and a ban for which there is none does not begin until there is. A denial for what other keys
/// took of a shared log is no offence.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    numbering: BucketHasher,
    shards: Box<[Mutex<Shard>]>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Arc::new(MonotonicClock::new()),
            numbering: BucketHasher::new(),
            shards: shards(DEFAULT_MAX_KEYS),
        }
    }

    /// For how many keys of one network counts are kept, about, and for a quarter more of several; a key under two policies is
    /// two. Default: 100,000, which is some 40 MB, or 50 with those of other networks. At least 1.
    #[must_use]
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.shards = shards(max_keys);
        self
    }

    /// The clock. Default: the system's monotonic clock. Tests bring one that they set themselves.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Whether one bucket has room, of which that is taken then, how it stands, and how that was found.
    pub(crate) fn check_one(
        &self,
        charge: &BucketRequest<'_>,
    ) -> (bool, BucketStatus, DecisionMode) {
        let (allowed, level, _, mode) = self.take_of_one(Operation::Check, charge);
        (allowed, level, mode)
    }

    /// The usual case, with one search: checks or charges one bucket. Says when, too.
    fn take_of_one(
        &self,
        operation: Operation,
        charge: &BucketRequest<'_>,
    ) -> (bool, BucketStatus, Micros, DecisionMode) {
        let seat = self.numbering.seat(charge.bucket, self.shards.len());
        let mut shard = lock(&self.shards[seat.shard]);
        let now = self.clock.now().as_micros() as Micros;
        shard.drop_expired(now);
        shard.act(seat, charge, now, |slot| {
            let allowed = operation == Operation::Debit || slot.has_room(now, charge);
            if allowed {
                slot.add(now, charge.taken());
            }
            (allowed, slot.status(now, charge), now, slot.mode())
        })
    }

    /// For how many keys counts are kept now.
    #[cfg(feature = "metrics")]
    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).keys()).sum()
    }

    pub(crate) fn apply_now(&self, operation: Operation, charges: &[BucketRequest<'_>]) -> Verdict {
        if let ([charge], Operation::Check | Operation::Debit) = (charges, operation) {
            let (allowed, level, now, mode) = self.take_of_one(operation, charge);
            return Verdict::new(allowed, [(level, Receipt::new([0, 0, now]))]).by(mode);
        }
        let seats: SmallVec<[BucketSlot; 1]> = charges
            .iter()
            .map(|charge| self.numbering.seat(charge.bucket, self.shards.len()))
            .collect();
        let mut locked = Locked::of(&self.shards, &seats);
        // Read under the locks, so that the times in a shard never go back.
        let now = self.clock.now().as_micros() as Micros;
        locked.drop_expired(now);

        let each = || seats.iter().zip(charges);
        let receipt = Receipt::new([0, 0, now]);
        match operation {
            Operation::Check | Operation::Debit => {
                let is_forced = operation == Operation::Debit;
                let (mut allowed, mut mode, mut for_others) = (true, DecisionMode::Store, false);
                for (seat, charge) in each() {
                    allowed &= locked.shard(seat).act(*seat, charge, now, |slot| {
                        if slot.mode() != DecisionMode::Store && !charge.check_only {
                            mode = slot.mode();
                        }
                        let has_room = is_forced || slot.has_room(now, charge);
                        for_others |= !has_room && slot.is_full_of_others(charge);
                        has_room
                    });
                }
                let levels = each().map(|(seat, charge)| {
                    locked.shard(seat).act(*seat, charge, now, |slot| {
                        slot.add(now, if allowed { charge.taken() } else { 0 });
                        (slot.status(now, charge), receipt)
                    })
                });
                Verdict::new(allowed, levels).by(mode).denied_for_others(for_others)
            }
            Operation::Peek => {
                let levels: SmallVec<[(BucketStatus, Receipt); 1]> =
                    each().map(|it| (locked.peek(it, now), Receipt::default())).collect();
                let allowed =
                    levels.iter().all(|(level, _)| level.retry_after == Some(Duration::ZERO));
                Verdict::new(allowed, levels)
            }
            Operation::Refund | Operation::Reset => {
                for (seat, charge) in each() {
                    let shard = locked.shard(seat);
                    if operation == Operation::Reset {
                        shard.reset(*seat, charge, now);
                    } else {
                        let [_, _, taken_at] = charge.receipt.words();
                        shard.refund(*seat, charge, now, taken_at);
                    }
                }
                Verdict::new(true, each().map(|it| (locked.peek(it, now), Receipt::default())))
            }
        }
    }
}

impl Store for MemoryStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Ready(Ok(self.apply_now(operation, charges)))
    }

    fn as_memory(&self) -> Option<&MemoryStore> {
        Some(self)
    }
}

/// The shards of some seats, locked in their order, so that no two checks wait for each other.
struct Locked<'a> {
    shards: SmallVec<[(usize, MutexGuard<'a, Shard>); 1]>,
}

impl<'a> Locked<'a> {
    fn of(shards: &'a [Mutex<Shard>], seats: &[BucketSlot]) -> Self {
        let mut places: SmallVec<[usize; 1]> = seats.iter().map(|seat| seat.shard).collect();
        places.sort_unstable();
        places.dedup();
        Self { shards: places.into_iter().map(|place| (place, lock(&shards[place]))).collect() }
    }

    fn drop_expired(&mut self, now: Micros) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.drop_expired(now));
    }

    fn shard(&mut self, seat: &BucketSlot) -> &mut Shard {
        let place = self.shards.partition_point(|(place, _)| *place < seat.shard);
        // The shards of all seats are here.
        &mut self.shards[place].1
    }

    fn peek(
        &mut self,
        (seat, charge): (&BucketSlot, &BucketRequest<'_>),
        now: Micros,
    ) -> BucketStatus {
        self.shard(seat).peek(*seat, charge, now)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // A panic while a lock was held cannot have left a shard half changed that a check could not go on with.
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

/// As many shards as keep `max_keys` together, each big enough that their keys spread evenly.
fn shards(max_keys: usize) -> Box<[Mutex<Shard>]> {
    let count = (max_keys / MAX_SHARDS).clamp(1, MAX_SHARDS);
    let each = max_keys.div_ceil(count).max(1);
    (0..count).map(|_| Mutex::new(Shard::new(each))).collect()
}
