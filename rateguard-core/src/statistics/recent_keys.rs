//! Keys before they were hashed, so that a denied key has a text.

use std::sync::{Mutex, PoisonError};

use crate::{Key, key::DIGEST_BYTES};

/// The number of shards, each with a lock.
const SHARDS: usize = 64;

/// The number of keys in a shard. All shards have 4,096 keys and about 400 KB.
const SHARD_KEYS: usize = 64;

/// The keys of the last checks before they were hashed, by the digest of the hashed key. A key is replaced by the next
/// key of the same slot. The denial of a key follows its check within milliseconds, so few keys are lost.
pub(super) struct RecentKeys {
    shards: Box<[Mutex<Vec<Option<RecentKey>>>]>,
}

#[derive(Clone, Copy)]
struct RecentKey {
    digest: [u8; DIGEST_BYTES],
    key: Key,
}

impl RecentKeys {
    pub(super) fn new() -> Self {
        let shard = |_| Mutex::new(vec![None; SHARD_KEYS]);
        Self { shards: (0..SHARDS).map(shard).collect() }
    }

    pub(super) fn insert(&self, digest: [u8; DIGEST_BYTES], key: &Key) {
        self.with_slot(&digest, |slot| {
            if slot.is_none_or(|it| it.digest != digest) {
                *slot = Some(RecentKey { digest, key: *key });
            }
        });
    }

    pub(super) fn get(&self, digest: &[u8; DIGEST_BYTES]) -> Option<Key> {
        self.with_slot(digest, |slot| slot.filter(|it| it.digest == *digest).map(|it| it.key))
    }

    fn with_slot<T>(
        &self,
        digest: &[u8; DIGEST_BYTES],
        run: impl FnOnce(&mut Option<RecentKey>) -> T,
    ) -> T {
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        let mut keys = shard.lock().unwrap_or_else(PoisonError::into_inner);
        run(&mut keys[usize::from(digest[1]) % SHARD_KEYS])
    }
}
