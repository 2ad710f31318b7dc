//! Hashing with random factors, and maps whose keys are such hashes.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// A map whose keys are random already.
pub(crate) type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<IdentityHasher>>;

/// Takes a number that is random already as it is.
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

/// Random numbers that nobody outside of this process can predict.
pub(crate) fn random_u128s() -> impl FnMut() -> u128 {
    // SipHash with a random key, of another number each time.
    let (hasher, mut number) = (RandomState::new(), 0_u64);
    move || {
        number += 2;
        let [high, low] = [number, number + 1].map(|it| u128::from(hasher.hash_one(it)));
        (high << 64) | low
    }
}
