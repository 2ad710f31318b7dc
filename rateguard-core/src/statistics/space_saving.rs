//! The algorithm Space-Saving, which finds the most frequent elements of a stream with a fixed number of counters
//! (Metwally, Agrawal and El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005).

use std::{collections::HashMap, hash::Hash};

/// The number of counters.
pub(super) const CAPACITY: usize = 256;

/// Counts the most frequent elements of a stream. With a stream of N elements, it has a counter for each element that
/// occurs more than N / 256 times.
pub(super) struct SpaceSaving<K, V> {
    counters: Vec<SpaceSavingCounter<K, V>>,
    /// The index of the counter of each element.
    index: HashMap<K, usize>,
}

/// The counter of an element, which occurred at most `count` times and at least `count - max_overcount` times.
pub(super) struct SpaceSavingCounter<K, V> {
    pub(super) element: K,
    pub(super) value: V,
    pub(super) count: u64,
    pub(super) max_overcount: u64,
}

impl<K: Clone + Eq + Hash, V> SpaceSaving<K, V> {
    pub(super) fn new() -> Self {
        Self { counters: Vec::new(), index: HashMap::new() }
    }

    /// Counts an element. `value` creates the value of an element that has no counter.
    pub(super) fn increment(&mut self, element: K, value: impl FnOnce() -> V) {
        if let Some(index) = self.index.get(&element) {
            self.counters[*index].count += 1;
            return;
        }
        let mut counter = SpaceSavingCounter {
            element: element.clone(),
            value: value(),
            count: 1,
            max_overcount: 0,
        };
        if self.counters.len() < CAPACITY {
            self.index.insert(element, self.counters.len());
            self.counters.push(counter);
            return;
        }
        // The new element may have occurred as often as the element whose counter it takes.
        let min = self.counters.iter().enumerate().min_by_key(|(_, it)| it.count);
        if let Some((index, min)) = min {
            counter.max_overcount = min.count;
            counter.count += min.count;
            self.index.remove(&min.element);
            self.index.insert(element, index);
            self.counters[index] = counter;
        }
    }

    pub(super) fn get(&self, element: &K) -> Option<&SpaceSavingCounter<K, V>> {
        self.index.get(element).map(|index| &self.counters[*index])
    }

    /// Returns how often an element without a counter can have occurred.
    pub(super) fn max_uncounted(&self) -> u64 {
        if self.counters.len() < CAPACITY {
            return 0;
        }
        self.counters.iter().map(|it| it.count).min().unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SpaceSavingCounter<K, V>> {
        self.counters.iter()
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
                let exact = model[&counter.element];
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
