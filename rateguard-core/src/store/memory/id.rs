//! The ids of buckets in this process: a keyed hash of the key, the name and the index of the quota.

use std::hash::{Hash, Hasher};

use crate::{
    Key,
    key::{Bucket, KEY_BYTES},
    keyed_hash::random_u128s,
};

/// The id of a bucket: a random 128-bit hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BucketId(pub(super) [u64; 2]);

/// Writes only one half of the id to the hasher, because each half is already uniformly distributed.
impl Hash for BucketId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// The location of a bucket in the store.
#[derive(Clone, Copy)]
pub(super) struct BucketLocation {
    pub(super) id: BucketId,
    /// The index of the shard.
    pub(super) shard: usize,
}

/// The parts of the hash input in words of 8 bytes: the key, one word with the name's number of bytes and the index of
/// the quota, and the name.
const KEY_WORDS: usize = KEY_BYTES / 8;
const NAME_WORDS: usize = 32;
const WORDS: usize = KEY_WORDS + 1 + NAME_WORDS;

/// Computes the ids of buckets, with secret random factors for each store.
///
/// An id has two halves. Each half comes from the upper half of a sum modulo 2^128, which adds the products of the input
/// words and random factors. This is multilinear hashing (D. Lemire and O. Kaser, "Strongly universal string hashing is
/// fast", 2014). Two different buckets have the same id with a probability of 2^-128. Clients therefore cannot
/// construct keys that share a bucket, or many keys for one shard. The computation takes a few nanoseconds.
///
/// Multilinear hashes of consecutive numbers are an arithmetic progression, which may avoid most shards. [`mix`]
/// removes this pattern.
pub(super) struct BucketHasher {
    start: [u128; 2],
    factors: [[u128; 2]; WORDS],
}

impl BucketHasher {
    pub(super) fn new() -> Self {
        let mut random = random_u128s();
        let mut pair = || [random(), random()];
        Self { start: pair(), factors: std::array::from_fn(|_| pair()) }
    }

    /// Returns the location of a bucket in a store with `shards` shards. All buckets of a key are in the same shard.
    pub(super) fn locate(&self, bucket: Bucket<'_>, shards: usize) -> BucketLocation {
        let mut sums = Sums { factors: &self.factors, sums: self.start };
        let (bytes, used) = bucket.key().bytes();
        // The words after the used bytes are 0 and would not change the sums, so skip them.
        let words = bytes.as_chunks::<8>().0.iter().take(used.div_ceil(8));
        for (index, word) in words.enumerate() {
            sums.add(index, u64::from_le_bytes(*word));
        }
        let [key_hash, _] = sums.halves();

        let digest;
        let mut name = bucket.name().as_bytes();
        // Both values are below 2^32, so they fit into one word.
        let length_and_index = ((name.len() as u64) << 32) | bucket.index() as u64;
        if name.len() > 8 * NAME_WORDS {
            digest = Key::from(name).digest();
            name = &digest;
        }
        sums.add(KEY_WORDS, length_and_index);
        let (words, rest) = name.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            sums.add(KEY_WORDS + 1 + index, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let word = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            sums.add(KEY_WORDS + 1 + words.len(), word);
        }
        BucketLocation {
            id: BucketId(sums.halves()),
            // The multiplication maps the hash to `0..shards` uniformly, and is faster than a division.
            shard: ((u128::from(key_hash) * shards as u128) >> 64) as usize,
        }
    }
}

struct Sums<'a> {
    factors: &'a [[u128; 2]; WORDS],
    sums: [u128; 2],
}

impl Sums<'_> {
    fn add(&mut self, index: usize, word: u64) {
        for (sum, factor) in self.sums.iter_mut().zip(self.factors[index]) {
            *sum = sum.wrapping_add(factor.wrapping_mul(word.into()));
        }
    }

    fn halves(&self) -> [u64; 2] {
        self.sums.map(|sum| mix((sum >> 64) as u64))
    }
}

/// Makes each bit of the result depend on many bits of the hash. Each step is a bijection, so different hashes stay
/// different.
fn mix(hash: u64) -> u64 {
    // The factor is odd, and its bits have no pattern: 2^64 divided by the golden ratio.
    let product = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bucket_ids_are_unique_and_a_key_has_one_shard() {
        let hasher = BucketHasher::new();
        let values = ["", "a", "b", "ab", "\0", "a\0"].map(str::to_owned);
        let long = (50..70).map(|length| "x".repeat(length));
        let keys: Vec<Key> = values.into_iter().chain(long).map(Key::from).collect();
        let long = [255, 256, 257, 1_000].map(|length| "y".repeat(length));
        let names = ["", "a", "ab", "a\0", "12345678", "123456789"].map(str::to_owned);
        let mut ids = HashSet::new();
        for key in &keys {
            let shard = hasher.locate(Bucket::new("", 0, key), 64).shard;
            for name in names.iter().chain(&long) {
                for index in 0..3 {
                    let location = hasher.locate(Bucket::new(name, index, key), 64);
                    assert_eq!(location.shard, shard);
                    ids.insert(location.id.0);
                }
            }
        }
        assert_eq!(ids.len(), keys.len() * (names.len() + long.len()) * 3);
    }

    /// Returns a hasher with the same factors in each run of the test.
    fn hasher(seed: u64) -> BucketHasher {
        let mut word = seed;
        // Consecutive outputs of this generator have no pattern that `mix` depends on (SplitMix64, S. Vigna, 2015).
        let mut random = move || {
            word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            u128::from(mixed ^ (mixed >> 31))
        };
        let mut pair = || [(); 2].map(|()| (random() << 64) | random());
        BucketHasher { start: pair(), factors: std::array::from_fn(|_| pair()) }
    }

    fn shards(hasher: &BucketHasher, keys: &[Key]) -> Vec<usize> {
        keys.iter().map(|key| hasher.locate(Bucket::new("p", 0, key), 64).shard).collect()
    }

    #[test]
    fn consecutive_numbers_spread_evenly_with_any_factors() {
        let keys: Vec<Key> = (0..6_400).map(Key::from).collect();
        for seed in 0..500 {
            let mut counts = [0; 64];
            shards(&hasher(seed), &keys).into_iter().for_each(|shard| counts[shard] += 1);
            // The mean is 100, and the range has six standard deviations on each side.
            assert!(counts.iter().all(|count| (40..160).contains(count)), "{seed}: {counts:?}");
        }
    }

    #[test]
    fn keys_have_different_shards_in_each_store() {
        let keys: Vec<Key> = (0..6_400).map(Key::from).collect();
        let [one, other] = [BucketHasher::new(), BucketHasher::new()].map(|it| shards(&it, &keys));
        assert_ne!(one, other);
    }
}
