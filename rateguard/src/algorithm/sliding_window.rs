//! The exact sliding window: a log of the admitted requests.
//!
//! A request at `t` counts during `[t, t + window)`. One more is admitted while fewer than `limit` count, so no window
//! of that length, wherever it begins, holds more than `limit` admitted requests. It costs the memory of one time
//! stamp for each request that counts.

use std::{collections::VecDeque, time::Duration};

use crate::{Decision, Quota};

/// Microseconds since some fixed moment.
pub(crate) type Micros = u64;

/// The Redis form of this algorithm.
#[cfg(feature = "redis")]
pub(crate) const SCRIPT: &str = include_str!("sliding_window.lua");

/// When the requests of one bucket were admitted, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Log {
    admitted: VecDeque<Micros>,
}

impl Log {
    /// Decides one request and, if it is admitted, records it. A denial leaves the log as it was.
    pub(crate) fn check(&mut self, quota: Quota, now: Micros) -> Decision {
        self.forgive_future(now);

        let window = micros(quota.window());
        let limit = quota.limit() as usize;
        let old = self.admitted.partition_point(|&at| at + window <= now);
        let live = self.admitted.len() - old;

        if live >= limit {
            // Room for one more when all but `limit - 1` of the live ones have left. More than `limit` are live only
            // if the limit was higher before.
            let last_to_leave = self.admitted[old + (live - limit)];
            return Decision::denied(quota, until(last_to_leave + window, now));
        }

        self.admitted.drain(..old);
        self.admitted.push_back(now);
        let remaining = quota.limit() - 1 - live as u32;
        Decision::allowed(quota, remaining, until(self.admitted[0] + window, now))
    }

    /// When the newest request stops counting under this quota: from then on the log says nothing.
    pub(crate) fn expires_at(&self, quota: Quota) -> Micros {
        self.admitted.back().map_or(0, |at| at + micros(quota.window()))
    }

    /// How many requests are recorded, including those that no longer count.
    pub(crate) fn len(&self) -> usize {
        self.admitted.len()
    }

    /// Moves those requests to a log of their own that `belongs` picks by their place, the oldest being 0.
    pub(crate) fn take(&mut self, mut belongs: impl FnMut(usize) -> bool) -> Self {
        let mut taken = Self::default();
        let mut place = 0;
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

    /// If the clock was set back, requests from its future count as if they came now. They stop counting one window
    /// from now at the latest, and no earlier than they would have.
    fn forgive_future(&mut self, now: Micros) {
        for at in self.admitted.iter_mut().rev().take_while(|at| **at > now) {
            *at = now;
        }
    }
}

/// A legal window, less than 2^45 microseconds, in microseconds.
fn micros(window: Duration) -> Micros {
    window.as_micros() as Micros
}

fn until(then: Micros, now: Micros) -> Duration {
    Duration::from_micros(then.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

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
