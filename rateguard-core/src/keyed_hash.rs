//! Random factors for keyed hashing, and maps whose keys are hashes already.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// A map whose keys are uniformly distributed hashes already, so that they are not hashed again.
pub(crate) type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<IdentityHasher>>;

/// Returns the hashed number itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A generator of random numbers that only this process can predict.
pub(crate) fn random_u128s() -> impl FnMut() -> u128 {
    // SipHash with a random key, applied to a counter.
    let (hasher, mut counter) = (RandomState::new(), 0_u64);
    move || {
        counter += 2;
        let [high, low] = [counter, counter + 1].map(|it| u128::from(hasher.hash_one(it)));
        (high << 64) | low
    }
}
