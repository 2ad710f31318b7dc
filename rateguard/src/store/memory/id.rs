//! Which bucket, in this process: a number in place of its names.

use std::hash::{Hash, Hasher};

use crate::{
    Key,
    bucket::{Bucket, KEY_BYTES},
    keyed_hash::random_u128s,
};

/// The number of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BucketId(pub(super) [u64; 2]);

/// It is random already.
impl Hash for BucketId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The other half says which shard it is in.
        state.write_u64(self.0[1]);
    }
}

/// Where a bucket is kept.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) id: BucketId,
    pub(super) shard: usize,
}

/// Words of eight bytes: a key, the lengths and the place, and a name.
const WORDS_OF_KEY: usize = KEY_BYTES / 8;
const WORDS_OF_NAME: usize = 32;
const WORDS: usize = WORDS_OF_KEY + 1 + WORDS_OF_NAME;

/// Numbers buckets, with random factors that nobody knows.
///
/// A number is two sums of products modulo 2^128, each of a random number and a word for each word, of which the upper half
/// is taken (multilinear hashing: D. Lemire and O. Kaser, "Strongly universal string hashing is fast", 2014). Any two
/// buckets have one number with a probability of 2^-128, whatever their names and keys are, so nobody can choose keys that
/// are counted together, or that crowd one shard. It takes a few nanoseconds.
pub(super) struct Numbering {
    start: [u128; 2],
    factors: [[u128; 2]; WORDS],
}

impl Numbering {
    pub(super) fn new() -> Self {
        let mut random = random_u128s();
        let mut two = || [random(), random()];
        Self { start: two(), factors: std::array::from_fn(|_| two()) }
    }

    /// The seat of a bucket among so many shards: all buckets of a key are in one, so that they find room there or do not.
    pub(super) fn seat(&self, bucket: Bucket<'_>, shards: usize) -> Seat {
        let mut sums = Sums { factors: &self.factors, sums: self.start };
        let (bytes, used) = bucket.key().bytes();
        // What is behind them is zero, and adds nothing.
        let words = bytes.as_chunks::<8>().0.iter().take(used.div_ceil(8));
        for (place, word) in words.enumerate() {
            sums.add(place, u64::from_le_bytes(*word));
        }
        let [of_key, _] = sums.upper();

        let digest;
        let mut name = bucket.name().as_bytes();
        // The names of policies are shorter. A number of 2^32 quotas is no place.
        let lengths = ((name.len() as u64) << 32) | bucket.place() as u64;
        if name.len() > 8 * WORDS_OF_NAME {
            digest = Key::from(name).digest();
            name = &digest;
        }
        sums.add(WORDS_OF_KEY, lengths);
        let (words, rest) = name.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            sums.add(WORDS_OF_KEY + 1 + place, u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let word = rest.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            sums.add(WORDS_OF_KEY + 1 + words.len(), word);
        }
        Seat {
            id: BucketId(sums.upper()),
            // Less than the number of shards.
            shard: ((u128::from(of_key) * shards as u128) >> 64) as usize,
        }
    }
}

struct Sums<'a> {
    factors: &'a [[u128; 2]; WORDS],
    sums: [u128; 2],
}

impl Sums<'_> {
    fn add(&mut self, place: usize, word: u64) {
        for (sum, factor) in self.sums.iter_mut().zip(self.factors[place]) {
            *sum = sum.wrapping_add(factor.wrapping_mul(word.into()));
        }
    }

    fn upper(&self) -> [u64; 2] {
        self.sums.map(|sum| (sum >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_buckets_have_one_number_and_all_of_a_key_have_one_shard() {
        let numbering = Numbering::new();
        let values = ["", "a", "b", "ab", "\0", "a\0"].map(str::to_owned);
        let long = (50..70).map(|length| "x".repeat(length));
        let keys: Vec<Key> = values.into_iter().chain(long).map(Key::from).collect();
        let long = [255, 256, 257, 1_000].map(|length| "y".repeat(length));
        let names = ["", "a", "ab", "a\0", "12345678", "123456789"].map(str::to_owned);
        let mut ids = HashSet::new();
        for key in &keys {
            let shard = numbering.seat(Bucket::new("", 0, key), 64).shard;
            for name in names.iter().chain(&long) {
                for place in 0..3 {
                    let seat = numbering.seat(Bucket::new(name, place, key), 64);
                    assert_eq!(seat.shard, shard);
                    ids.insert(seat.id.0);
                }
            }
        }
        assert_eq!(ids.len(), keys.len() * (names.len() + long.len()) * 3);
    }

    #[test]
    fn keys_spread_over_the_shards_and_otherwise_in_each_store() {
        let [one, other] = [(); 2].map(|()| Numbering::new());
        let keys: Vec<Key> = (0..6_400).map(Key::from).collect();
        let shard = |numbering: &Numbering, key| numbering.seat(Bucket::new("p", 0, key), 64).shard;
        let mut counts = [0; 64];
        keys.iter().for_each(|key| counts[shard(&one, key)] += 1);
        // A hundred each, give or take six standard deviations.
        assert!(counts.iter().all(|count| (40..160).contains(count)), "{counts:?}");
        let alike = keys.iter().filter(|key| shard(&one, key) == shard(&other, key)).count();
        assert!(alike < 200, "{alike}");
    }
}
