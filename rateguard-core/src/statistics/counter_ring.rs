//! Counters for the last intervals of time, in a ring of slots.

use std::sync::{
    Mutex, PoisonError,
    atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Counters for the last intervals of time. An increment needs no lock and no allocation, except for the first one in an
/// interval, which takes a lock.
pub(crate) struct CounterRing {
    /// For each slot, the number of the interval whose counts the slot has, or [`EMPTY`].
    intervals: Box<[AtomicU64]>,
    /// The counters of all slots.
    counters: Box<[AtomicU32]>,
    reset_lock: Mutex<()>,
}

const EMPTY: u64 = u64::MAX;

impl CounterRing {
    /// Creates a ring for the last `intervals` intervals, with `counters` counters for each.
    pub(super) fn new(intervals: usize, counters: usize) -> Self {
        Self {
            intervals: (0..intervals).map(|_| AtomicU64::new(EMPTY)).collect(),
            counters: (0..intervals * counters).map(|_| AtomicU32::new(0)).collect(),
            reset_lock: Mutex::new(()),
        }
    }

    /// Adds 1 to a counter of an interval.
    pub(super) fn increment(&self, interval: u64, counter: usize) {
        let (stored, counters) = self.slot(interval);
        if stored.load(Acquire) != interval {
            self.reset(interval);
        }
        counters[counter].fetch_add(1, Relaxed);
    }

    /// Adds to a counter, if the ring still has the interval.
    pub(super) fn add_if_present(&self, interval: u64, counter: usize, number: u32) {
        let (stored, counters) = self.slot(interval);
        if stored.load(Acquire) == interval {
            counters[counter].fetch_add(number, Relaxed);
        }
    }

    /// Returns the counters of an interval. `None` if the ring has no counts of the interval.
    pub(super) fn counters(&self, interval: u64) -> Option<impl Iterator<Item = u32> + '_> {
        let (stored, counters) = self.slot(interval);
        let has_interval = stored.load(Acquire) == interval;
        has_interval.then(|| counters.iter().map(|it| it.load(Relaxed)))
    }

    /// Empties the slot of an interval before its first count.
    #[cold]
    fn reset(&self, interval: u64) {
        let _guard = self.reset_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (stored, counters) = self.slot(interval);
        // Another thread may have emptied the slot before this thread got the lock.
        if stored.load(Relaxed) != interval {
            counters.iter().for_each(|it| it.store(0, Relaxed));
            stored.store(interval, Release);
        }
    }

    fn slot(&self, interval: u64) -> (&AtomicU64, &[AtomicU32]) {
        let index = (interval % self.intervals.len() as u64) as usize;
        let width = self.counters.len() / self.intervals.len();
        (&self.intervals[index], &self.counters[index * width..(index + 1) * width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ring: &CounterRing, interval: u64) -> Option<Vec<u32>> {
        ring.counters(interval).map(Iterator::collect)
    }

    #[test]
    fn slot_has_the_counts_of_one_interval() {
        let ring = CounterRing::new(3, 2);
        ring.increment(7, 0);
        ring.increment(7, 1);
        ring.increment(7, 1);
        ring.increment(8, 0);
        assert_eq!([row(&ring, 7), row(&ring, 8)], [Some(vec![1, 2]), Some(vec![1, 0])]);
        assert_eq!([row(&ring, 9), row(&ring, 4)], [None, None]);
        ring.increment(10, 1);
        assert_eq!([row(&ring, 7), row(&ring, 10)], [None, Some(vec![0, 1])]);
        ring.add_if_present(7, 0, 5);
        ring.add_if_present(10, 0, 5);
        assert_eq!(row(&ring, 10), Some(vec![5, 1]));
    }

    #[test]
    fn concurrent_increments_are_counted_exactly() {
        let ring = CounterRing::new(4, 1);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..40_000).for_each(|it| ring.increment(it / 10_000, 0)));
            }
        });
        for interval in 0..4 {
            assert_eq!(row(&ring, interval), Some(vec![40_000]));
        }
    }
}
