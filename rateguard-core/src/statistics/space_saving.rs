//! The algorithm Space-Saving, which finds the most frequent elements of a stream with a fixed number of counters
//! (Metwally, Agrawal and El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005).

use std::{collections::HashMap, hash::Hash};

/// The number of counters.
pub(super) const CAPACITY: usize = 256;

/// Counts the most frequent elements of a stream. With a stream of N elements, it has a counter for each element that
/// occurs more than N / 256 times.
pub(super) struct SpaceSaving<K, V> {
    /// The counts are separate from the other parts of the counters, so that the search for the smallest one is fast.
    counts: Vec<u64>,
    counters: Vec<StoredCounter<K, V>>,
    /// The index of the counter of each element.
    index: HashMap<K, usize>,
}

struct StoredCounter<K, V> {
    element: K,
    value: V,
    max_overcount: u64,
}

/// The counter of an element, which occurred at most `count` times and at least `count - max_overcount` times.
pub(super) struct ElementCount<'a, K, V> {
    pub(super) element: &'a K,
    pub(super) value: &'a V,
    pub(super) count: u64,
    pub(super) max_overcount: u64,
}

impl<K: Clone + Eq + Hash, V> SpaceSaving<K, V> {
    pub(super) fn new() -> Self {
        Self { counts: Vec::new(), counters: Vec::new(), index: HashMap::new() }
    }

    /// Counts an element. `value` creates the value of an element that has no counter.
    pub(super) fn increment(&mut self, element: K, value: impl FnOnce() -> V) {
        if let Some(index) = self.index.get(&element) {
            self.counts[*index] += 1;
            return;
        }
        let mut counter =
            StoredCounter { element: element.clone(), value: value(), max_overcount: 0 };
        if self.counters.len() < CAPACITY {
            self.index.insert(element, self.counters.len());
            self.counters.push(counter);
            self.counts.push(1);
            return;
        }
        // The new element may have occurred as often as the element whose counter it takes.
        let min = self.max_uncounted();
        if let Some(index) = self.counts.iter().position(|count| *count == min) {
            counter.max_overcount = min;
            self.counts[index] = min + 1;
            self.index.remove(&self.counters[index].element);
            self.index.insert(element, index);
            self.counters[index] = counter;
        }
    }

    pub(super) fn get(&self, element: &K) -> Option<ElementCount<'_, K, V>> {
        self.index.get(element).map(|index| self.at(*index))
    }

    /// Returns how often an element without a counter can have occurred.
    pub(super) fn max_uncounted(&self) -> u64 {
        if self.counts.len() < CAPACITY {
            return 0;
        }
        self.counts.iter().copied().min().unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = ElementCount<'_, K, V>> {
        (0..self.counters.len()).map(|index| self.at(index))
    }

    fn at(&self, index: usize) -> ElementCount<'_, K, V> {
        let StoredCounter { element, value, max_overcount } = &self.counters[index];
        ElementCount { element, value, count: self.counts[index], max_overcount: *max_overcount }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyed_hash::random_u128s;

    /// Streams in which few elements are frequent and many are rare.
    #[test]
    fn counts_are_within_the_bounds_of_an_exact_model() {
        let mut random = random_u128s();
        for _ in 0..20 {
            let (distinct, length) = (1 + random() % 3_000, 1 + random() % 20_000);
            let mut model = HashMap::<u128, u64>::new();
            let mut counters = SpaceSaving::new();
            for _ in 0..length {
                // The minimum of several numbers makes low numbers frequent.
                let element = (0..1 + random() % 8).map(|_| random() % distinct).min().unwrap();
                *model.entry(element).or_default() += 1;
                counters.increment(element, || ());
            }
            assert!(counters.counters.len() <= CAPACITY && counters.index.len() <= CAPACITY);
            assert_eq!(counters.iter().map(|it| it.count).sum::<u64>(), length as u64);
            for counter in counters.iter() {
                let exact = model[counter.element];
                assert!(counter.count >= exact && counter.count - counter.max_overcount <= exact);
            }
            for (element, exact) in model {
                match counters.get(&element) {
                    Some(_) => {}
                    None => {
                        assert!(exact <= counters.max_uncounted());
                        assert!(u128::from(exact) * CAPACITY as u128 <= length);
                    }
                }
            }
        }
    }
}
