//! Makes random choices. The same seed gives the same choices.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Numbers that are close to limits which the library enforces.
const EDGES: [u64; 16] = [
    0,
    1,
    60,
    255,
    10_000,
    1_000_000_000,
    1 << 31,
    1 << 32,
    999_999_999_999,
    1_000_000_000_000,
    999_999_999_999_999,
    1_000_000_000_000_000,
    1 << 52,
    1 << 53,
    1 << 63,
    u64::MAX,
];

pub(super) struct Random(SmallRng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Returns a number from 0 to `end - 1`. `end` must not be 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// Returns `true` with a probability of 1 / `times`.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.0.random()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.random()
    }

    /// Returns a list of at most `end - 1` items.
    pub(super) fn list<T>(&mut self, end: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(end)).map(|_| make(self)).collect()
    }

    /// Returns a small number, a number close to one of the [`EDGES`], or any number.
    pub(super) fn number(&mut self) -> u64 {
        match self.below(8) {
            0..4 => self.0.random_range(0..100),
            4..7 => self.pick(&EDGES).wrapping_add(self.0.random_range(0..3)).wrapping_sub(1),
            _ => self.0.random(),
        }
    }

    /// Returns a number in decimal digits. In some cases, the digits are repeated.
    pub(super) fn digits(&mut self) -> String {
        let digits = self.number().to_string();
        if self.one_in(16) { digits.repeat(1 + self.below(20)) } else { digits }
    }
}
