//! Counts the requests of a key that are in progress at the same time.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The ends of the requests of one key that are in progress.
#[derive(Debug, Default)]
pub(crate) struct InProgressUse {
    ends: BinaryHeap<Reverse<u64>>,
    peak: u64,
}

impl InProgressUse {
    pub(super) fn add(&mut self, time: u64, duration: u64) {
        while self.ends.peek().is_some_and(|Reverse(end)| *end <= time) {
            self.ends.pop();
        }
        self.ends.push(Reverse(time.saturating_add(duration)));
        self.peak = self.peak.max(self.ends.len() as u64);
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ends_before_another_one_starts_at_the_same_time() {
        let mut usage = InProgressUse::default();
        for (time, duration, peak) in [(0, 10, 1), (5, 10, 2), (10, 1, 2), (12, 5, 2), (13, 5, 3)] {
            usage.add(time, duration);
            assert_eq!(usage.peak(), peak, "{time}");
        }
    }
}
