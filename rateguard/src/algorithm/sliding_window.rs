//! The exact sliding window: a log of the admitted requests.
//!
//! A request at `t` counts during `[t, t + window)`. One more is admitted while it has room beside those that count, so
//! no window of that length, wherever it begins, holds more than `limit` admitted requests. It costs the memory of one
//! entry for each request that counts, whatever the request costs.

use std::collections::VecDeque;

use super::{Micros, Step, micros};
use crate::Quota;

/// What was admitted for one bucket, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// How many of the oldest no longer count. They go with the next admission, so that a denial changes nothing.
    over: usize,
    /// What the others cost.
    counting: u64,
    /// When the first and the last of the others came, if there are any. They say all that most checks ask, which so
    /// touch the entries only to add one.
    first: Micros,
    last: Micros,
}

#[derive(Debug)]
struct Entry {
    at: Micros,
    units: u32,
}

impl Step for Log {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let window = micros(quota);
        if self.over == 0 && self.last <= now && now < self.first + window {
            return;
        }
        // They stop counting one window from now at the latest, and no earlier than they would have.
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.at > now) {
            entry.at = now;
        }
        while let Some(entry) = self.entries.get(self.over)
            && entry.at + window <= now
        {
            self.counting -= u64::from(entry.units);
            self.over += 1;
        }
        // If the clock was set back, or the window is longer than before.
        while let Some(before) = self.over.checked_sub(1)
            && let Some(entry) = self.entries.get(before)
            && now < entry.at + window
        {
            self.counting += u64::from(entry.units);
            self.over = before;
        }
        self.look();
    }

    fn used(&self, _: Quota) -> u32 {
        u32::try_from(self.counting).unwrap_or(u32::MAX)
    }

    fn until_room(&self, quota: Quota, now: Micros, units: u32) -> Micros {
        // All but `capacity - units` of what counts must leave. More than the capacity counts only if the limit was
        // higher before, or more was charged than there was room for.
        let mut leaving =
            (self.counting + u64::from(units)).saturating_sub(quota.capacity().into());
        let last = match leaving {
            0 => None,
            // Every entry is of one unit at least.
            1 => Some(self.first),
            _ => {
                let mut last = None;
                let mut counting = self.entries.range(self.over..);
                while leaving > 0
                    && let Some(entry) = counting.next()
                {
                    leaving = leaving.saturating_sub(entry.units.into());
                    last = Some(entry.at);
                }
                last
            }
        };
        last.map_or(0, |at| (at + micros(quota)).saturating_sub(now))
    }

    fn add(&mut self, _: Quota, now: Micros, units: u32) {
        for _ in 0..std::mem::take(&mut self.over) {
            self.entries.pop_front();
        }
        self.counting += u64::from(units);
        if self.entries.is_empty() {
            self.first = now;
        } else if self.last == now
            && let Some(last) = self.entries.back_mut()
            && let Some(both) = last.units.checked_add(units)
        {
            last.units = both;
            return;
        }
        self.last = now;
        self.entries.push_back(Entry { at: now, units });
    }

    fn give_back(&mut self, _: Quota, _: Micros, units: u32, taken_at: Micros) {
        // What was taken in one microsecond is alike.
        let Ok(place) = self.entries.binary_search_by_key(&taken_at, |entry| entry.at) else {
            return;
        };
        let entry = &mut self.entries[place];
        let back = units.min(entry.units);
        entry.units -= back;
        if place >= self.over {
            self.counting -= u64::from(back);
        }
        if entry.units == 0 {
            self.entries.remove(place);
            self.over -= usize::from(place < self.over);
            self.look();
        }
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        if self.entries.is_empty() { 0 } else { self.last + micros(quota) }
    }
}

impl Log {
    /// Notes when the first and the last came of those that count.
    fn look(&mut self) {
        let at = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.at);
        self.first = at(self.entries.get(self.over));
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

    /// Takes so many units if they have room, or says how long it takes until they have.
    fn check(log: &mut Log, quota: Quota, now: Micros, units: u32) -> Result<(), Micros> {
        log.settle(quota, now);
        match log.until_room(quota, now, units) {
            0 => {
                log.add(quota, now, units);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    #[test]
    fn what_was_admitted_counts_for_exactly_one_window() {
        let quota = quota("2/10s");
        let mut log = Log::default();
        assert_eq!(check(&mut log, quota, 0, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 4 * SECOND, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 10 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Ok(()));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Err(4 * SECOND));
    }

    #[test]
    fn a_denial_changes_nothing() {
        let quota = quota("1/10s");
        let mut log = Log::default();
        assert_eq!(check(&mut log, quota, 0, 1), Ok(()));
        for second in 1..10 {
            assert_eq!(check(&mut log, quota, second * SECOND, 1), Err((10 - second) * SECOND));
        }
        assert_eq!(check(&mut log, quota, 10 * SECOND, 1), Ok(()));
    }

    #[test]
    fn a_lowered_limit_waits_for_as_many_as_are_too_many() {
        let (before, after) = (quota("5/10s"), quota("2/10s"));
        let mut log = Log::default();
        for second in 0..5 {
            assert_eq!(check(&mut log, before, second * SECOND, 1), Ok(()));
        }
        // Of those at 0, 1, 2, 3 and 4 s, four must leave: the last of them at 13 s.
        assert_eq!(check(&mut log, after, 5 * SECOND, 1), Err(8 * SECOND));
        assert_eq!(check(&mut log, after, 13 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, after, 13 * SECOND, 1), Ok(()));
    }

    #[test]
    fn one_entry_holds_whatever_a_request_costs() {
        let quota = quota("1000000/10s");
        let mut log = Log::default();
        assert_eq!(check(&mut log, quota, 0, 600_000), Ok(()));
        assert_eq!(check(&mut log, quota, SECOND, 300_000), Ok(()));
        assert_eq!(log.entries.len(), 2);
        assert_eq!(log.used(quota), 900_000);
        assert_eq!(check(&mut log, quota, 2 * SECOND, 100_001), Err(8 * SECOND));
        assert_eq!(check(&mut log, quota, 2 * SECOND, 700_001), Err(9 * SECOND));
    }

    #[test]
    fn what_is_given_back_is_what_was_taken_then_and_no_more() {
        let quota = quota("10/10s");
        let mut log = Log::default();
        for (second, units) in [(0, 3), (1, 4)] {
            assert_eq!(check(&mut log, quota, second * SECOND, units), Ok(()));
        }
        log.give_back(quota, SECOND, 2, 0);
        assert_eq!(log.used(quota), 5);
        log.give_back(quota, SECOND, 9, SECOND);
        assert_eq!((log.used(quota), log.entries.len()), (1, 1));
        // Nothing was taken then.
        log.give_back(quota, SECOND, 9, 2 * SECOND);
        assert_eq!(log.used(quota), 1);
        // What no longer counts leaves no trace either.
        log.settle(quota, 10 * SECOND);
        assert_eq!(log.used(quota), 0);
        log.give_back(quota, 10 * SECOND, 1, 0);
        assert_eq!((log.used(quota), log.entries.len(), log.counting), (0, 0, 0));
    }

    #[test]
    fn a_clock_that_steps_back_locks_out_for_one_window_at_most() {
        let quota = quota("2/10s");
        let mut log = Log::default();
        let before = 3_600 * SECOND;
        assert_eq!(check(&mut log, quota, before, 2), Ok(()));
        assert_eq!(check(&mut log, quota, 0, 1), Err(10 * SECOND));
        assert_eq!(check(&mut log, quota, 10 * SECOND - 1, 1), Err(1));
        assert_eq!(check(&mut log, quota, 10 * SECOND, 2), Ok(()));
    }
}
