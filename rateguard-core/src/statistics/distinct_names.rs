//! Counts the distinct names of the policies that have no counters of their own.

use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed},
};

const SLOTS: usize = 4_096;

/// The maximum number of names. Half of the slots stay empty, so that a search is short.
const MAX_NAMES: usize = SLOTS / 2;

/// A set of hashes of names that only grows. It counts up to 2,048 distinct names without a lock.
pub(super) struct DistinctNames {
    hashes: Box<[AtomicU64]>,
    len: AtomicUsize,
}

impl DistinctNames {
    pub(super) fn new() -> Self {
        let hashes = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { hashes, len: AtomicUsize::new(0) }
    }

    /// Adds the name with this hash.
    pub(super) fn add(&self, hash: u64) {
        // 0 marks an empty slot.
        let hash = hash.max(1);
        let mut slot = (hash >> 48) as usize % SLOTS;
        loop {
            let mut found = self.hashes[slot].load(Acquire);
            if found == 0 {
                if self.len.load(Relaxed) >= MAX_NAMES {
                    return;
                }
                match self.hashes[slot].compare_exchange(0, hash, AcqRel, Acquire) {
                    Ok(_) => {
                        self.len.fetch_add(1, Relaxed);
                        return;
                    }
                    Err(other) => found = other,
                }
            }
            if found == hash {
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Returns the number of distinct names.
    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_count_once_and_the_number_is_bounded() {
        let names = DistinctNames::new();
        for hash in [0, 7 << 48, 7 << 48, (7 << 48) + 1, 1, u64::MAX, u64::MAX] {
            names.add(hash);
        }
        assert_eq!(names.len(), 4);
        (0..100_000_u64).for_each(|it| names.add(it.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        assert_eq!(names.len(), MAX_NAMES);
    }
}
