//! The denial cache stores denials for a short time in this process. With a cached denial, the guard denies a
//! repeated check without a store call.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash, Hasher},
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use crate::{
    StoreError,
    key::DIGEST_BYTES,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict},
};

const SHARDS: usize = 16;
/// The maximum number of denials in a shard, which is a part of the cache with a separate lock. A hash table with
/// 4,096 slots holds at most this number of entries. A shard with this number of denials stores no further denials.
const MAX_DENIALS_PER_SHARD: usize = 3_584;
/// The maximum number of denials of one key. A key can have several denials, because checks with different policies
/// or costs have separate denials.
const MAX_DENIALS_PER_KEY: usize = 4;
/// The minimum time between two sweeps of a shard. A sweep removes the expired denials.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// The number of invalidation counters in a shard. Several keys share one counter. When the denials of a key become
/// invalid, the key's counter increases. A check that is in progress at that time does not cache its denial if its key
/// uses the same counter.
const COUNTERS_PER_SHARD: usize = 64;

type Digest = [u8; DIGEST_BYTES];

/// The cached denials of a guard. They are divided into shards, and the key of a denial selects the shard.
pub(super) struct DenialCache {
    /// The maximum lifetime of a cached denial. If another process changes a bucket, this guard notices the change
    /// after this time at the latest.
    max_ttl: Duration,
    hasher: RandomState,
    /// The shards of the cache. There are none if the cache is disabled.
    shards: Box<[Mutex<CacheShard>]>,
}

pub(super) struct CacheShard {
    denials: HashMap<Digest, SmallVec<[Denial; 1]>>,
    /// The number of denials for all keys in this shard.
    pub(super) len: usize,
    /// The invalidation counters. A key uses the counter at the index that `counter_index` returns.
    invalidations: [u64; COUNTERS_PER_SHARD],
    next_sweep: Option<Instant>,
}

struct Denial {
    /// The hash of all bucket requests of the denied check.
    fingerprint: u64,
    /// A bit set of the denied check's policies. The hash of a policy name selects the bit of the policy. Two
    /// policies may have the same bit, so an invalidation may remove too many denials, but never too few.
    policies: u64,
    received_at: Instant,
    expires_at: Instant,
    statuses: SmallVec<[BucketStatus; 1]>,
}

impl DenialCache {
    /// Creates a cache whose denials expire after `max_ttl` at the latest. Zero disables the cache.
    pub(super) fn new(max_ttl: Duration) -> Self {
        let shards = if max_ttl.is_zero() { 0 } else { SHARDS };
        let shards = (0..shards).map(|_| Mutex::new(CacheShard::new())).collect();
        Self { max_ttl, hasher: RandomState::new(), shards }
    }

    pub(super) fn max_ttl(&self) -> Duration {
        self.max_ttl
    }

    /// Returns the number of cached denials.
    #[cfg(any(feature = "metrics", feature = "statistics"))]
    pub(super) fn len(&self) -> usize {
        let len =
            |shard: &Mutex<CacheShard>| shard.lock().unwrap_or_else(PoisonError::into_inner).len;
        self.shards.iter().map(len).sum()
    }

    /// Looks for a cached denial of an equal check, which has the same buckets, quotas and costs. The cache only
    /// contains denials of checks of a single key. A denial for several keys is not cached, because the units that
    /// caused the denial may be refunded a moment later.
    pub(super) fn lookup<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> CacheLookup<'a> {
        let Some(first) = requests.first() else { return CacheLookup::Miss(None) };
        if self.max_ttl.is_zero() || operation != Operation::Check || have_several_keys(requests) {
            return CacheLookup::Miss(None);
        }
        let (started_at, digest) = (Instant::now(), first.bucket.digest());
        let shard = self.shard(&digest);
        if let Some(statuses) = shard.get(&digest, || self.fingerprint(requests), || started_at) {
            let statuses = statuses.map(|status| (status, Receipt::default()));
            return CacheLookup::Hit(Verdict::new(false, statuses));
        }
        let invalidations = shard.invalidations[counter_index(&digest)];
        CacheLookup::Miss(Some(PendingInsert {
            cache: self,
            requests,
            digest,
            started_at,
            invalidations,
        }))
    }

    /// Returns the cached status of the bucket, if the cache has a denial of a check that consists of only this
    /// bucket request.
    pub(super) fn denial(&self, request: &BucketRequest<'_>) -> Option<BucketStatus> {
        if self.max_ttl.is_zero() {
            return None;
        }
        let (digest, requests) = (request.bucket.digest(), slice::from_ref(request));
        self.shard(&digest).get(&digest, || self.fingerprint(requests), Instant::now)?.next()
    }

    /// Calculates the hash of a check. The hash function has a random secret, so clients cannot construct collisions.
    fn fingerprint(&self, requests: &[BucketRequest<'_>]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for BucketRequest { bucket, quota, cost, check_only, .. } in requests {
            (bucket.name(), bucket.index(), quota, cost, check_only).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Prepares the removal of the cached denials for these buckets. The denials are removed when the returned value
    /// is dropped. Returns `None` if the cache is disabled, or if the operation makes no room: a peek, which changes no
    /// bucket, or a renewal.
    pub(super) fn invalidation<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> Option<Invalidation<'a>> {
        let makes_no_room = matches!(operation, Operation::Peek | Operation::Renew);
        let is_needed = !self.max_ttl.is_zero() && !makes_no_room;
        // A check that has no result, because it failed or was dropped, may have taken units, but cannot have made
        // room. So the cached denials stay valid.
        let invalidates = !matches!(operation, Operation::Check | Operation::Lease);
        is_needed.then(|| Invalidation { cache: self, requests, operation, invalidates })
    }

    fn policies(&self, requests: &[BucketRequest<'_>]) -> u64 {
        let bit =
            |request: &BucketRequest<'_>| 1 << (self.hasher.hash_one(request.bucket.name()) % 64);
        requests.iter().map(bit).fold(0, |all, bit: u64| all | bit)
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, CacheShard> {
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        // No code panics while the lock is held, so the lock is never poisoned.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a lookup in the denial cache.
pub(super) enum CacheLookup<'a> {
    /// The cache has a denial of an equal check. The durations in this verdict begin now, and not at the time of the
    /// denial.
    Hit(Verdict),
    /// The cache has no denial, so the store must decide. The value is `Some` if the cache can store a denial of this
    /// check.
    Miss(Option<PendingInsert<'a>>),
}

/// A check in progress. If the store denies the check, the cache can store the denial.
pub(super) struct PendingInsert<'a> {
    cache: &'a DenialCache,
    requests: &'a [BucketRequest<'a>],
    digest: Digest,
    started_at: Instant,
    /// The value of the key's invalidation counter when the check started.
    invalidations: u64,
}

impl PendingInsert<'_> {
    /// Stores the verdict in the cache if the verdict is a denial. A denial of a limit on the requests in progress is
    /// not stored, because a permit can be free at any moment, and no process is told when another one releases it.
    pub(super) fn insert(self, verdict: &Verdict) {
        let lacks_permit = |(request, status): (&BucketRequest<'_>, BucketStatus)| {
            request.quota.algorithm().has_permits() && status.retry_after != Some(Duration::ZERO)
        };
        if verdict.is_allowed() || self.requests.iter().zip(verdict.statuses()).any(lacks_permit) {
            return;
        }
        let statuses: SmallVec<[BucketStatus; 1]> = verdict.statuses().collect();
        // A cached denial expires when the shortest duration in its statuses has passed, such as the time until a
        // retry. This time is measured from the start of the check. The store decides after the start, so the denial
        // never expires too late.
        let changes =
            statuses.iter().flat_map(|status| [Some(status.reset_after), status.retry_after]);
        let changes = changes.flatten().filter(|change| !change.is_zero());
        let ttl = changes.fold(self.cache.max_ttl, Duration::min);
        let received_at = Instant::now();
        let Some(expires_at) = self.started_at.checked_add(ttl).filter(|at| *at > received_at)
        else {
            return;
        };
        let fingerprint = self.cache.fingerprint(self.requests);
        let policies = self.cache.policies(self.requests);
        let mut shard = self.cache.shard(&self.digest);
        // If the invalidation counter has increased, the store may have decided before the invalidation. The denial
        // may then be outdated, so it is not cached.
        if shard.invalidations[counter_index(&self.digest)] == self.invalidations {
            let denial = Denial { fingerprint, policies, received_at, expires_at, statuses };
            shard.insert(&self.digest, denial);
        }
    }
}

/// Removes the cached denials for the buckets of an operation. The removal takes place when this value is dropped.
#[must_use = "the denials are removed when the value is dropped, so drop it after the operation"]
pub(super) struct Invalidation<'a> {
    cache: &'a DenialCache,
    requests: &'a [BucketRequest<'a>],
    operation: Operation,
    invalidates: bool,
}

impl Invalidation<'_> {
    /// Records the result of the operation. After a denied check, the cached denials stay valid, because a denied
    /// check changes no bucket.
    pub(super) fn record(mut self, result: &Result<Verdict, StoreError>) {
        self.invalidates = match result {
            Ok(verdict) => verdict.is_allowed(),
            Err(_) => !matches!(self.operation, Operation::Check | Operation::Lease),
        };
    }
}

impl Drop for Invalidation<'_> {
    fn drop(&mut self) {
        if self.invalidates {
            for request in self.requests {
                let policies = || self.cache.policies(slice::from_ref(request));
                let digest = request.bucket.digest();
                self.cache.shard(&digest).invalidate(&digest, policies);
            }
        }
    }
}

impl CacheShard {
    fn new() -> Self {
        Self {
            denials: HashMap::new(),
            len: 0,
            invalidations: [0; COUNTERS_PER_SHARD],
            next_sweep: None,
        }
    }

    fn get(
        &self,
        digest: &Digest,
        fingerprint: impl FnOnce() -> u64,
        now: impl FnOnce() -> Instant,
    ) -> Option<impl Iterator<Item = BucketStatus>> {
        let of_key = self.denials.get(digest)?;
        // The fingerprint and the time are only needed for keys with a cached denial, and most keys have none.
        let (fingerprint, now) = (fingerprint(), now());
        let denial =
            of_key.iter().find(|it| it.fingerprint == fingerprint && now < it.expires_at)?;
        let age = now.saturating_duration_since(denial.received_at);
        let aged = move |status: &BucketStatus| BucketStatus {
            remaining: status.remaining,
            reset_after: status.reset_after.saturating_sub(age),
            retry_after: status.retry_after.map(|retry| retry.saturating_sub(age)),
        };
        Some(denial.statuses.iter().map(aged))
    }

    fn insert(&mut self, digest: &Digest, denial: Denial) {
        let now = denial.received_at;
        self.remove_where(digest, |it| {
            it.fingerprint == denial.fingerprint || now >= it.expires_at
        });
        if self.next_sweep.is_none_or(|at| now >= at) {
            self.next_sweep = now.checked_add(SWEEP_INTERVAL);
            self.denials.retain(|_, of_key| {
                of_key.retain(|it| now < it.expires_at);
                !of_key.is_empty()
            });
            self.len = self.denials.values().map(SmallVec::len).sum();
        }
        if self.len < MAX_DENIALS_PER_SHARD {
            let of_key = self.denials.entry(*digest).or_default();
            if of_key.len() == MAX_DENIALS_PER_KEY {
                of_key.remove(0);
                self.len -= 1;
            }
            of_key.push(denial);
            self.len += 1;
        }
    }

    fn invalidate(&mut self, digest: &Digest, policies: impl FnOnce() -> u64) {
        // A check of this key that is now in progress may return an outdated denial. The increased counter prevents
        // the cache from storing that denial.
        self.invalidations[counter_index(digest)] += 1;
        if self.denials.contains_key(digest) {
            let policies = policies();
            self.remove_where(digest, |it| it.policies & policies != 0);
        }
    }

    fn remove_where(&mut self, digest: &Digest, is_removed: impl Fn(&Denial) -> bool) {
        if let Some(of_key) = self.denials.get_mut(digest) {
            let before = of_key.len();
            of_key.retain(|it| !is_removed(it));
            self.len -= before - of_key.len();
            if of_key.is_empty() {
                self.denials.remove(digest);
            }
        }
    }
}

/// Returns the index of this key's invalidation counter in a shard.
fn counter_index(digest: &Digest) -> usize {
    usize::from(digest[1]) % COUNTERS_PER_SHARD
}

/// Whether these bucket requests are for more than one key.
pub(super) fn have_several_keys(requests: &[BucketRequest<'_>]) -> bool {
    requests.iter().any(|request| request.bucket.key() != requests[0].bucket.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_cache_takes_less_than_ten_megabytes() {
        // A hash table needs one control byte for each slot, and fills at most 7 of 8 slots.
        let slot = size_of::<(Digest, SmallVec<[Denial; 1]>)>() + 1;
        let tables = SHARDS * MAX_DENIALS_PER_SHARD / 7 * 8 * slot;
        assert!(tables < 10_000_000, "{tables}");
    }
}
