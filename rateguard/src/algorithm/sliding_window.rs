//! The exact sliding window: a log of the admitted requests.
//!
//! A request at `t` counts during `[t, t + window)`. One more is admitted while fewer than `limit` count, so no window
//! of that length, wherever it begins, holds more than `limit` admitted requests. It costs the memory of one time
//! stamp for each request that counts.

use std::collections::VecDeque;

use super::{Micros, Step, micros};
use crate::Quota;

/// When the requests of one bucket were admitted, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    admitted: VecDeque<Micros>,
    /// How many of the oldest no longer count. They go with the next admission, so that a denial changes nothing.
    over: usize,
}

impl Step for Log {
    fn settle(&mut self, quota: Quota, now: Micros) {
        // They stop counting one window from now at the latest, and no earlier than they would have.
        for at in self.admitted.iter_mut().rev().take_while(|at| **at > now) {
            *at = now;
        }
        let window = micros(quota);
        self.over = self.admitted.partition_point(|&at| at + window <= now);
    }

    fn used(&self, _: Quota) -> u32 {
        // There are never more than the highest limit.
        (self.admitted.len() - self.over) as u32
    }

    fn until_room(&self, quota: Quota, now: Micros, places: u32) -> Micros {
        // All but `capacity - places` of those that count must leave. More than the capacity count only if the limit
        // was higher before.
        let leaving = (self.used(quota) + places).saturating_sub(quota.capacity()) as usize;
        match leaving.checked_sub(1) {
            None => 0,
            Some(before_last) => {
                (self.admitted[self.over + before_last] + micros(quota)).saturating_sub(now)
            }
        }
    }

    fn add(&mut self, _: Quota, now: Micros, requests: u32) {
        self.admitted.drain(..self.over);
        self.over = 0;
        self.admitted.extend((0..requests).map(|_| now));
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        self.admitted.back().map_or(0, |at| at + micros(quota))
    }
}

impl Log {
    /// How many requests are recorded, including those that no longer count.
    pub(crate) fn len(&self) -> usize {
        self.admitted.len()
    }

    /// Moves those requests to a log of their own that `belongs` picks by their place, the oldest being 0.
    pub(crate) fn take(&mut self, mut belongs: impl FnMut(usize) -> bool) -> Self {
        let mut taken = Self::default();
        let mut place = 0;
        self.over = 0;
        self.admitted.retain(|at| {
            let take = belongs(place);
            place += 1;
            if take {
                taken.admitted.push_back(*at);
            }
            !take
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Decision;

    const SECOND: Micros = 1_000_000;

    fn quota(rate: &str) -> Quota {
        rate.parse().unwrap()
    }

    #[test]
    fn what_was_admitted_counts_for_exactly_one_window() {
        let quota = quota("2/10s");
        let mut log = Log::default();
        assert_eq!(log.check(quota, 0), Decision::allowed(quota, 1, Duration::from_secs(10)));
        assert_eq!(
            log.check(quota, 4 * SECOND),
            Decision::allowed(quota, 0, Duration::from_secs(6))
        );
        assert_eq!(
            log.check(quota, 10 * SECOND - 1),
            Decision::denied(quota, Duration::from_micros(1))
        );
        assert_eq!(
            log.check(quota, 10 * SECOND),
            Decision::allowed(quota, 0, Duration::from_secs(4))
        );
        assert_eq!(log.check(quota, 10 * SECOND), Decision::denied(quota, Duration::from_secs(4)));
    }

    #[test]
    fn a_denial_changes_nothing() {
        let quota = quota("1/10s");
        let mut log = Log::default();
        log.check(quota, 0);
        for at in 1..10 {
            assert!(!log.check(quota, at * SECOND).is_allowed());
        }
        assert_eq!(log.admitted, [0]);
        assert!(log.check(quota, 10 * SECOND).is_allowed());
    }

    #[test]
    fn a_lowered_limit_waits_for_as_many_as_are_too_many() {
        let (before, after) = (quota("5/10s"), quota("2/10s"));
        let mut log = Log::default();
        for at in 0..5 {
            assert!(log.check(before, at * SECOND).is_allowed());
        }
        // Of those at 0, 1, 2, 3 and 4 s, four must leave: the last of them at 13 s.
        let denied = log.check(after, 5 * SECOND);
        assert_eq!(denied, Decision::denied(after, Duration::from_secs(8)));
        assert!(!log.check(after, 13 * SECOND - 1).is_allowed());
        assert!(log.check(after, 13 * SECOND).is_allowed());
    }

    #[test]
    fn a_clock_that_steps_back_locks_out_for_one_window_at_most() {
        let quota = quota("2/10s");
        let mut log = Log::default();
        let before = 3_600 * SECOND;
        log.check(quota, before);
        log.check(quota, before);
        assert_eq!(log.check(quota, 0), Decision::denied(quota, Duration::from_secs(10)));
        assert!(!log.check(quota, 10 * SECOND - 1).is_allowed());
        assert_eq!(log.check(quota, 10 * SECOND).remaining(), 1);
    }
}
