//! Computes the id of each bucket in this process. The id is a keyed hash of the key, the name of the bucket, and the
//! index of its quota.

use std::hash::{Hash, Hasher};

use crate::{
    Key,
    key::{Bucket, KEY_BYTES},
    keyed_hash::random_u128s,
};

/// The id of a bucket: a 128-bit hash with a random distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BucketId(pub(super) [u64; 2]);

/// Writes only one half of the id to the hasher. One half is sufficient, because it is already uniformly distributed.
impl Hash for BucketId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[1]);
    }
}

/// The id of a bucket, and the shard that stores the bucket.
#[derive(Clone, Copy)]
pub(super) struct BucketLocation {
    pub(super) id: BucketId,
    /// The index of the shard that stores the bucket.
    pub(super) shard: usize,
}

/// The size of the hash input, in words of 8 bytes. The input has three parts: first the key, then one word that
/// holds the length of the name and the index of the quota, and then the name.
const KEY_WORDS: usize = KEY_BYTES / 8;
const NAME_WORDS: usize = 32;
const WORDS: usize = KEY_WORDS + 1 + NAME_WORDS;

/// Computes the ids of buckets. Each store has its own secret random factors.
///
/// An id has two halves. For each half, the hasher multiplies each input word by a random factor, adds the products
/// modulo 2^128, and uses the upper 64 bits of the sum. This is multilinear hashing (D. Lemire and O. Kaser,
/// "Strongly universal string hashing is fast", 2014). Two different buckets have the same id with a probability of
/// 2^-128. Clients therefore cannot construct keys that share a bucket, or many keys that are in one shard. The
/// computation takes a few nanoseconds.
///
/// The multilinear hashes of consecutive numbers are an arithmetic progression. With such hashes, consecutive keys
/// might use only a few shards. [`mix`] removes this pattern.
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

    /// Returns the id and the shard of a bucket, for a store that has `shards` shards. All buckets of a key are in
    /// the same shard.
    pub(super) fn locate(&self, bucket: Bucket<'_>, shards: usize) -> BucketLocation {
        let mut sums = Sums { factors: &self.factors, sums: self.start };
        let (bytes, used) = bucket.key().bytes();
        // Skip the words after the used bytes, because these words are 0 and would not change the sums.
        let words = bytes.as_chunks::<8>().0.iter().take(used.div_ceil(8));
        for (index, word) in words.enumerate() {
            sums.add(index, u64::from_le_bytes(*word));
        }
        let [key_hash, _] = sums.halves();

        let digest;
        let mut name = bucket.name().as_bytes();
        // The length and the index are both below 2^32, so both together fit into one word.
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
            // The multiplication maps the hash uniformly to the range `0..shards`. It is faster than a division.
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

/// Changes the hash so that each bit of the result depends on many bits of the hash. Each step is a bijection, so
/// different hashes have different results.
fn mix(hash: u64) -> u64 {
    // The factor is 2^64 divided by the golden ratio. It is odd, and its bits have no pattern.
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

    /// Returns a hasher that has the same factors in each run of the test.
    fn hasher(seed: u64) -> BucketHasher {
        let mut word = seed;
        // This is SplitMix64 (S. Vigna, 2015). Its consecutive outputs have no pattern that could affect the result
        // of `mix`.
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
            // The expected number of keys in each shard is 100. The allowed range is six standard deviations on each
            // side.
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
