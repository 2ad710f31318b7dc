//! Which bucket, in this process.

use std::hash::{BuildHasher, RandomState};

use crate::bucket::{Bucket, DIGEST_BYTES};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BucketId {
    /// A hash of the policy's name, and of the quota's place in it.
    pub(super) name: u64,
    pub(super) digest: [u8; DIGEST_BYTES],
}

/// Where a bucket is kept.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) id: BucketId,
    pub(super) hash: u64,
    pub(super) shard: usize,
}

impl Seat {
    /// The seat of a bucket among so many shards: all buckets of a key are in one, so that they find room there or do not.
    /// The hasher's seed is random, so that nobody can aim at a shard.
    pub(super) fn of(bucket: Bucket<'_>, hasher: &RandomState, shards: usize) -> Self {
        let name = hasher.hash_one((bucket.name(), bucket.place()));
        let id = BucketId { name, digest: *bucket.digest() };
        let key = hasher.hash_one(id.digest);
        // The remainder is less than the number of shards.
        Self { id, hash: key ^ name, shard: (key % shards as u64) as usize }
    }
}
