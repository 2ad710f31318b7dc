//! The in-memory store: one process, no Redis.

mod id;
mod overflow;
mod shard;

use std::{
    fmt,
    hash::RandomState,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;

use self::{id::Seat, shard::Shard};
use super::{Answer, Charge, Level, Operation, Receipt, Store, Verdict};
use crate::{
    algorithm::Micros,
    clock::{Clock, MonotonicClock},
};

const DEFAULT_MAX_KEYS: usize = 100_000;
const MAX_SHARDS: usize = 64;

/// Keeps the counts of one process in its memory.
///
/// This is the default store of a [`RateGuard`](crate::RateGuard). It needs no runtime, no timer and no thread:
/// what has expired is dropped by later checks, a little each. It takes up to 390 bytes for each key and quota, and
/// 16 more for each request in a log beyond the fourth.
///
/// It holds counts of a bounded number of keys. While it is full, the counts that it has stay exact, and keys that
/// are new share a number of logs between them, chosen by their hash: together they are held to the limit that each
/// of them has. So a flood of invented keys neither frees a key that was denied nor shuts out all others.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    /// Hashes names and chooses shards; its seed is random, so that nobody can aim at a shard.
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Arc::new(MonotonicClock::new()),
            hasher: RandomState::new(),
            shards: shards(DEFAULT_MAX_KEYS),
        }
    }

    /// For how many keys counts are kept, about; a key under two policies is two. Default: 100,000, which is some
    /// 40 MB. At least 1.
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

    pub(crate) fn apply_now(&self, operation: Operation, charges: &[Charge<'_>]) -> Verdict {
        let seats: SmallVec<[Seat; 1]> = charges
            .iter()
            .map(|charge| Seat::of(charge.bucket, &self.hasher, self.shards.len()))
            .collect();
        let mut locked = Locked::of(&self.shards, &seats);
        // Read under the locks, so that the times in a shard never go back.
        let now = self.clock.now().as_micros() as Micros;
        locked.drop_expired(now);

        let each = || seats.iter().zip(charges);
        let receipt = Receipt::new([0, 0, now]);
        match operation {
            Operation::Check | Operation::Charge => {
                let is_forced = operation == Operation::Charge;
                if let ([seat], [charge]) = (&*seats, charges) {
                    // The usual case, with one search.
                    return locked.shard(seat).act(*seat, charge.quota, now, |slot| {
                        let allowed = is_forced || slot.has_room(now, charge);
                        slot.add(now, if allowed { charge.taken() } else { 0 });
                        Verdict::new(allowed, [(slot.level(now, charge), receipt)])
                    });
                }
                let mut allowed = true;
                for (seat, charge) in each() {
                    allowed &= locked.shard(seat).act(*seat, charge.quota, now, |slot| {
                        is_forced || slot.has_room(now, charge)
                    });
                }
                let levels = each().map(|(seat, charge)| {
                    locked.shard(seat).act(*seat, charge.quota, now, |slot| {
                        slot.add(now, if allowed { charge.taken() } else { 0 });
                        (slot.level(now, charge), receipt)
                    })
                });
                Verdict::new(allowed, levels)
            }
            Operation::Peek => {
                let levels: SmallVec<[(Level, Receipt); 1]> =
                    each().map(|it| (locked.peek(it, now), Receipt::default())).collect();
                let allowed =
                    levels.iter().all(|(level, _)| level.retry_after == Some(Duration::ZERO));
                Verdict::new(allowed, levels)
            }
            Operation::Refund | Operation::Reset => {
                for (seat, charge) in each() {
                    let shard = locked.shard(seat);
                    if operation == Operation::Reset {
                        shard.reset(*seat, charge.quota, now);
                    } else {
                        let [_, _, taken_at] = charge.receipt.words();
                        shard.give_back(*seat, charge.quota, now, charge.cost, taken_at);
                    }
                }
                Verdict::new(true, each().map(|it| (locked.peek(it, now), Receipt::default())))
            }
        }
    }
}

impl Store for MemoryStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Now(Ok(self.apply_now(operation, charges)))
    }
}

/// The shards of some seats, locked in their order, so that no two checks wait for each other.
struct Locked<'a> {
    shards: SmallVec<[(usize, MutexGuard<'a, Shard>); 1]>,
}

impl<'a> Locked<'a> {
    fn of(shards: &'a [Mutex<Shard>], seats: &[Seat]) -> Self {
        let mut places: SmallVec<[usize; 1]> = seats.iter().map(|seat| seat.shard).collect();
        places.sort_unstable();
        places.dedup();
        let lock = |place: usize| {
            // A panic while a lock was held cannot have left a shard half changed that a check could not go on with.
            (place, shards[place].lock().unwrap_or_else(PoisonError::into_inner))
        };
        Self { shards: places.into_iter().map(lock).collect() }
    }

    fn drop_expired(&mut self, now: Micros) {
        self.shards.iter_mut().for_each(|(_, shard)| shard.drop_expired(now));
    }

    fn shard(&mut self, seat: &Seat) -> &mut Shard {
        let place = self.shards.partition_point(|(place, _)| *place < seat.shard);
        // The shards of all seats are here.
        &mut self.shards[place].1
    }

    fn peek(&mut self, (seat, charge): (&Seat, &Charge<'_>), now: Micros) -> Level {
        self.shard(seat).peek(*seat, charge, now)
    }
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
