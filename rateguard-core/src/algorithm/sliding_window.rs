//! The exact sliding window algorithm, which stores a log of the admitted requests.
//!
//! A request at the time `t` counts during `[t, t + window)`. The guard admits a request if its units and the units
//! that already count are together at most the limit. Therefore, no interval of the same length as the window has more
//! than `limit` admitted units. The log has at most one entry for each request that counts, because the entry stores
//! the number of units.

use std::collections::VecDeque;

use super::{LimiterState, Micros, micros};
use crate::Quota;

/// The admitted requests of one bucket. The oldest request is the first entry.
#[derive(Debug, Default)]
pub(crate) struct SlidingWindowLog {
    entries: VecDeque<Entry>,
    /// The number of expired entries at the front of `entries`. Only `add` removes these entries, so a denied request
    /// removes no entry.
    expired: usize,
    /// The sum of the units of all live entries. An entry is live until it expires.
    live_units: u64,
    /// `first` is the time of the first live entry, and `last` is the time of the last entry. A time is 0 if there is
    /// no such entry. Most checks need only these times and no entry, and are therefore fast.
    first: Micros,
    last: Micros,
}

#[derive(Debug)]
struct Entry {
    at: Micros,
    units: u32,
}

impl LimiterState for SlidingWindowLog {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let window = micros(quota);
        if self.expired == 0 && self.last <= now && now < self.first + window {
            return;
        }
        // If the clock was set back, some entries are from the future. They count as taken now, because they would
        // otherwise count for longer than one window.
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.at > now) {
            entry.at = now;
        }
        while let Some(entry) = self.entries.get(self.expired)
            && entry.at + window <= now
        {
            self.live_units -= u64::from(entry.units);
            self.expired += 1;
        }
        // If the clock was set back, or if the window has become longer, some expired entries count again.
        while let Some(before) = self.expired.checked_sub(1)
            && let Some(entry) = self.entries.get(before)
            && now < entry.at + window
        {
            self.live_units += u64::from(entry.units);
            self.expired = before;
        }
        self.update_times();
    }

    fn used(&self, _: Quota) -> u32 {
        u32::try_from(self.live_units).unwrap_or(u32::MAX)
    }

    fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Micros {
        // The request fits after the oldest `excess` units have expired. `excess` is larger than `units` only in two
        // cases: the limit was lowered, or a debit took units beyond the capacity.
        let mut excess =
            (self.live_units + u64::from(units)).saturating_sub(quota.capacity().into());
        let last = match excess {
            0 => None,
            // Only one unit has to expire, and the first live entry has at least one unit.
            1 => Some(self.first),
            _ => {
                let mut last = None;
                let mut live = self.entries.range(self.expired..);
                while excess > 0
                    && let Some(entry) = live.next()
                {
                    excess = excess.saturating_sub(entry.units.into());
                    last = Some(entry.at);
                }
                last
            }
        };
        last.map_or(0, |at| (at + micros(quota)).saturating_sub(now))
    }

    fn add(&mut self, _: Quota, now: Micros, units: u32) {
        for _ in 0..std::mem::take(&mut self.expired) {
            self.entries.pop_front();
        }
        self.live_units += u64::from(units);
        if self.entries.is_empty() {
            self.first = now;
        } else if self.last == now
            && let Some(last) = self.entries.back_mut()
            && let Some(sum) = last.units.checked_add(units)
        {
            last.units = sum;
            return;
        }
        self.last = now;
        self.entries.push_back(Entry { at: now, units });
    }

    fn refund(&mut self, _: Quota, _: Micros, units: u32, taken_at: Micros) {
        // All units that were taken at the same time also expire together, so it does not matter which of them are
        // refunded.
        let Ok(index) = self.entries.binary_search_by_key(&taken_at, |entry| entry.at) else {
            return;
        };
        let entry = &mut self.entries[index];
        let refunded = units.min(entry.units);
        entry.units -= refunded;
        if index >= self.expired {
            self.live_units -= u64::from(refunded);
        }
        if entry.units == 0 {
            self.entries.remove(index);
            self.expired -= usize::from(index < self.expired);
            self.update_times();
        }
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        if self.entries.is_empty() { 0 } else { self.last + micros(quota) }
    }
}

impl SlidingWindowLog {
    /// Updates `first` and `last` after a change of the entries.
    fn update_times(&mut self) {
        let at = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.at);
        self.first = at(self.entries.get(self.expired));
        self.last = at(self.entries.back());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn quota(rate: &str) -> Quota {
        rate.parse().unwrap()
    }

    /// Takes the units if they fit. Otherwise returns the time until they fit.
    fn check(
        log: &mut SlidingWindowLog,
        quota: Quota,
        now: Micros,
        units: u32,
    ) -> Result<(), Micros> {
        log.settle(quota, now);
        match log.wait_for(quota, now, units) {
            0 => {
                log.add(quota, now, units);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    #[test]
    fn admitted_units_count_for_exactly_one_window() {
        let quota = quota("2/10s");
        let mut log = SlidingWindowLog::default();
        assert_eq!(check(&mut log, quota, 0, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 4 * SECOND, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 10 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Err(4 * SECOND));
    }

    #[test]
    fn denial_changes_nothing() {
        let quota = quota("1/10s");
        let mut log = SlidingWindowLog::default();
        assert_eq!(check(&mut log, quota, 0, 1), Ok(()));
        for second in 1..10 {
            assert_eq!(check(&mut log, quota, second * SECOND, 1), Err((10 - second) * SECOND));
        }
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Ok(()));
    }

    #[test]
    fn lowered_limit_waits_until_excess_units_expire() {
        let (before, after) = (quota("5/10s"), quota("2/10s"));
        let mut log = SlidingWindowLog::default();
        for second in 0..5 {
            assert_eq!(check(&mut log, before, second * SECOND, 1), Ok(()));
        }
        // There are entries at 0, 1, 2, 3 and 4 s. With the new limit of 2, four of them must expire before one more
        // unit fits. The fourth entry expires at 13 s.
        assert_eq!(check(&mut log, after, 5 * SECOND, 1), Err(8 * SECOND));
        assert_eq!(check(&mut log, after, 13 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, after, 13 * SECOND, 1), Ok(()));
    }

    #[test]
    fn request_of_any_cost_is_one_entry() {
        let quota = quota("1000000/10s");
        let mut log = SlidingWindowLog::default();
        assert_eq!(check(&mut log, quota, 0, 600_000), Ok(()));
        assert_eq!(check(&mut log, quota, SECOND, 300_000), Ok(()));
        assert_eq!(log.entries.len(), 2);
        assert_eq!(log.used(quota), 900_000);
        assert_eq!(check(&mut log, quota, 2 * SECOND, 100_001), Err(8 * SECOND));
        assert_eq!(check(&mut log, quota, 2 * SECOND, 700_001), Err(9 * SECOND));
    }

    #[test]
    fn refund_removes_only_units_of_its_receipt() {
        let quota = quota("10/10s");
        let mut log = SlidingWindowLog::default();
        for (second, units) in [(0, 3), (1, 4)] {
            assert_eq!(check(&mut log, quota, second * SECOND, units), Ok(()));
        }
        log.refund(quota, SECOND, 2, 0);
        assert_eq!(log.used(quota), 5);
        log.refund(quota, SECOND, 9, SECOND);
        assert_eq!((log.used(quota), log.entries.len()), (1, 1));
        // A refund for the time 2 s changes nothing, because no unit was taken at this time.
        log.refund(quota, SECOND, 9, 2 * SECOND);
        assert_eq!(log.used(quota), 1);
        // A refund of units that have expired does not change the number of units that count.
        log.settle(quota, 10 * SECOND);
        assert_eq!(log.used(quota), 0);
        log.refund(quota, 10 * SECOND, 1, 0);
        assert_eq!((log.used(quota), log.entries.len(), log.live_units), (0, 0, 0));
    }

    #[test]
    fn clock_step_back_denies_for_one_window_at_most() {
        let quota = quota("2/10s");
        let mut log = SlidingWindowLog::default();
        let before = 3_600 * SECOND;
        assert_eq!(check(&mut log, quota, before, 2), Ok(()));
        assert_eq!(check(&mut log, quota, 0, 1), Err(10 * SECOND));
        assert_eq!(check(&mut log, quota, 10 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 2), Ok(()));
    }
}
