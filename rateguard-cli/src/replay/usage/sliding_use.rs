//! Counts the units of a key in each window of the length of a quota, and remembers the highest count.

use std::collections::VecDeque;

/// The maximum number of times that are stored for a key. A log with times in seconds has at most 60 of them in a
/// minute. If a window has more, requests that are close to each other become one entry.
const MAX_TIMES: usize = 4_096;

/// The number of parts of a window whose requests become one entry. A request then counts for at most one part too
/// long, which is 0.1 % of the window.
const PARTS: u64 = 1_024;

/// The units of one key in the last window.
#[derive(Debug, Default)]
pub(crate) struct SlidingUse {
    /// The times of the requests with their units, the oldest first. Requests at one time are one entry.
    times: VecDeque<(u64, u32)>,
    sum: u64,
    peak: u64,
    /// Whether requests in one part of a window are one entry, so that the peak is an upper bound.
    pub(super) is_upper_bound: bool,
}

impl SlidingUse {
    /// Counts units at a time that is not before the last one. `window` is in microseconds.
    pub(super) fn add(&mut self, time: u64, units: u32, window: u64) {
        while let Some((oldest, units)) = self.times.front().copied()
            && oldest.saturating_add(window) <= time
        {
            self.sum -= u64::from(units);
            self.times.pop_front();
        }
        self.push(time, units, self.part(window));
        self.sum += u64::from(units);
        self.peak = self.peak.max(self.sum);
        if self.times.len() > MAX_TIMES && !self.is_upper_bound {
            self.is_upper_bound = true;
            for (time, units) in std::mem::take(&mut self.times) {
                self.push(time, units, window / PARTS + 1);
            }
        }
    }

    /// Removes units of a request at this time. Nothing changes if the window of the request has ended.
    pub(super) fn refund(&mut self, time: u64, units: u32, window: u64) {
        let part = self.part(window);
        let index = self.times.partition_point(|(it, _)| *it < time);
        let Some((_, sum)) = self.times.get_mut(index).filter(|(it, _)| *it / part == time / part)
        else {
            return;
        };
        let removed = units.min(*sum);
        *sum -= removed;
        if *sum == 0 {
            self.times.remove(index);
        }
        self.sum -= u64::from(removed);
    }

    /// Returns the length of the part of a window whose requests are one entry.
    fn part(&self, window: u64) -> u64 {
        if self.is_upper_bound { window / PARTS + 1 } else { 1 }
    }

    /// Adds an entry, or adds the units to the last entry if it is in the same part. The entry then has the later time.
    fn push(&mut self, time: u64, units: u32, part: u64) {
        match self.times.back_mut() {
            Some((last, sum))
                if *last / part == time / part && sum.checked_add(units).is_some() =>
            {
                *last = time;
                *sum += units;
            }
            _ => self.times.push_back((time, units)),
        }
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the highest number of units in any window that ends at a request.
    fn naive(times: &[u64], window: u64) -> u64 {
        let in_window =
            |end: u64| times.iter().filter(|it| **it <= end && end < **it + window).count() as u64;
        times.iter().map(|end| in_window(*end)).max().unwrap_or(0)
    }

    #[test]
    fn peak_is_the_highest_count_of_any_window() {
        let (mut times, mut time, mut state) = (Vec::new(), 0, 1_u64);
        for _ in 0..2_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            time += (state >> 60) % 5;
            times.push(time);
        }
        for window in [1, 2, 7, 60, 10_000] {
            let mut usage = SlidingUse::default();
            times.iter().for_each(|time| usage.add(*time, 1, window));
            assert_eq!(usage.peak(), naive(&times, window), "{window}");
            assert!(!usage.is_upper_bound);
        }
    }

    #[test]
    fn many_times_give_an_upper_bound() {
        let mut usage = SlidingUse::default();
        for time in 0..100_000 {
            usage.add(time, 1, 50_000);
        }
        assert!(usage.is_upper_bound && usage.times.len() <= MAX_TIMES);
        assert!((50_000..=50_049).contains(&usage.peak()), "{}", usage.peak());
    }
}
