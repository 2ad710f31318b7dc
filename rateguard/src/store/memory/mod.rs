//! The in-memory store: one process, no Redis.

mod id;
mod overflow;
mod shard;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::{self, Either};

use self::{id::BucketId, shard::Shard};
use super::{Answer, Store};
use crate::{
    Decision, Quota,
    algorithm::Micros,
    bucket::Bucket,
    clock::{Clock, MonotonicClock},
};

const DEFAULT_MAX_KEYS: usize = 100_000;
const MAX_SHARDS: usize = 64;

/// Keeps the counts of one process in its memory.
///
/// This is the default store of a [`RateGuard`](crate::RateGuard). It needs no runtime, no timer and no thread:
/// what has expired is dropped by later checks, a little each. It takes about 200 bytes for each key and 8 bytes for
/// each request in its window.
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
    /// 20 MB. At least 1.
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

    fn decide(&self, bucket: Bucket<'_>, quota: Quota) -> Decision {
        let id = BucketId { name: self.hasher.hash_one(bucket.name), digest: *bucket.key.digest() };
        let hash = self.hasher.hash_one(id);
        // The remainder is less than the number of shards.
        let shard = &self.shards[(hash % self.shards.len() as u64) as usize];
        // A panic while the lock was held cannot have left a shard half changed that a check could not go on with.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the times in a shard never go back.
        let now = self.clock.now().as_micros() as Micros;
        shard.check(id, hash, quota, now)
    }
}

impl Store for MemoryStore {
    fn check<'a>(&'a self, bucket: Bucket<'a>, quota: Quota) -> Answer<'a> {
        Either::Left(future::ready(Ok(self.decide(bucket, quota))))
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
