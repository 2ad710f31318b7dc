//! Provides random numbers for keyed hashes, and maps whose keys are already hashes.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// A map whose keys are already uniformly distributed hashes. The map does not hash these keys again, so a lookup
/// is faster.
pub(crate) type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<IdentityHasher>>;

/// A hasher that does not hash a number, but returns the number itself.
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

/// Returns a generator of random numbers that no one outside this process can predict.
pub(crate) fn random_u128s() -> impl FnMut() -> u128 {
    // Each number consists of two SipHash values, which are computed from two counter values with a random key.
    let (hasher, mut counter) = (RandomState::new(), 0_u64);
    move || {
        counter += 2;
        let [high, low] = [counter, counter + 1].map(|it| u128::from(hasher.hash_one(it)));
        (high << 64) | low
    }
}
