//! Predicts the turn of a request behind the requests that already wait in its queue.
//!
//! The prediction is a lower bound: the request cannot have room before its turn, because the earlier requests take
//! their units first. So the guard denies a request immediately only if the request would wait in vain.

use std::time::Duration;

use crate::{Algorithm, Quota, bucket_status::BucketStatus};

/// A lower bound of the length of each calendar period. Even an hour in which the clock is changed is longer.
const CALENDAR_PERIOD: Duration = Duration::from_secs(60);

/// The units of the requests ahead in a queue, and the cost of the request behind them.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    quota: Quota,
    cost: u32,
    /// The units of all requests, including this request.
    total: u64,
}

impl Turn {
    /// Returns the turn behind requests that wait for `ahead` units. The result is `None` if the store alone knows when
    /// the request has room: nobody is ahead, the quota never has room for the cost, or the quota has permits.
    pub(super) fn behind(ahead: u64, quota: Quota, cost: u32) -> Option<Self> {
        let is_known = cost > 0 && cost <= quota.max_cost() && !quota.algorithm().has_permits();
        let total = ahead.saturating_add(cost.into());
        (ahead > 0 && is_known).then_some(Self { quota, cost, total })
    }

    /// Returns the cost for which the store must report the wait, so that [`wait`](Self::wait) can use this report.
    pub(super) fn peeked_cost(self) -> u32 {
        let capacity = u64::from(self.quota.capacity());
        let cost = match self.quota.algorithm() {
            // Each unit of a log is taken one window after the unit that it replaces.
            Algorithm::SlidingWindow => (self.total - 1) % capacity + 1,
            // The units that the earlier requests take have less weight after the end of the window, so the wait for
            // all units together would be too long.
            Algorithm::SlidingWindowCounter => self.cost.into(),
            Algorithm::FixedWindow
            | Algorithm::Calendar
            | Algorithm::TokenBucket
            | Algorithm::Concurrency => self.total.min(capacity),
        };
        u32::try_from(cost).unwrap_or(u32::MAX).min(self.quota.max_cost())
    }

    /// Returns the time until the turn. `status` is the status of the bucket for the [peeked
    /// cost](Self::peeked_cost).
    pub(super) fn wait(self, status: &BucketStatus) -> Option<Duration> {
        let (wait, window) = (status.retry_after?, self.quota.window());
        let capacity = u64::from(self.quota.capacity());
        let window = match self.quota.algorithm() {
            Algorithm::Calendar => CALENDAR_PERIOD,
            _ => window,
        };
        let windows = |units: u64| times(window, units / capacity);
        Some(match self.quota.algorithm() {
            Algorithm::SlidingWindow => wait.saturating_add(windows(self.total - 1)),
            Algorithm::SlidingWindowCounter => {
                // The algorithm admits at most twice the limit in one window.
                wait.max(times(window, (self.total - 1) / (2 * capacity)))
            }
            Algorithm::TokenBucket => {
                let missing = self.total.saturating_sub(capacity);
                let micros =
                    u128::from(missing) * window.as_micros() / u128::from(self.quota.limit());
                wait.saturating_add(Duration::from_micros(
                    u64::try_from(micros).unwrap_or(u64::MAX),
                ))
            }
            Algorithm::FixedWindow | Algorithm::Calendar | Algorithm::Concurrency
                if self.total <= capacity =>
            {
                wait
            }
            Algorithm::FixedWindow | Algorithm::Calendar | Algorithm::Concurrency => {
                // The rest of the current window has room for the remaining units.
                let now = if wait.is_zero() { 0 } else { status.remaining.into() };
                wait.saturating_add(windows(self.total.saturating_sub(now + 1)))
            }
        })
    }
}

/// Returns a multiple of a window. A wait of many windows is longer than any maximum.
fn times(window: Duration, number: u64) -> Duration {
    window.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn turn_is_when_the_earlier_requests_have_taken_their_units() {
        // The window of 1 s has room for a unit in 0.6 s.
        let in_600_ms = BucketStatus {
            remaining: 0,
            reset_after: SECOND * 3 / 5,
            retry_after: Some(SECOND * 3 / 5),
        };
        let has_room =
            BucketStatus { remaining: 2, retry_after: Some(Duration::ZERO), ..in_600_ms };
        for (quota, status, expected) in [
            ("2/second", in_600_ms, [(2, 600), (1, 1_600), (2, 1_600), (1, 2_600)]),
            ("2/second", has_room, [(2, 0), (1, 1_000), (2, 1_000), (1, 2_000)]),
            ("2/second fixed_window", in_600_ms, [(2, 600), (2, 1_600), (2, 1_600), (2, 2_600)]),
            ("2/second fixed_window", has_room, [(2, 0), (2, 1_000), (2, 1_000), (2, 2_000)]),
            ("2/second token_bucket", in_600_ms, [(2, 600), (2, 1_100), (2, 1_600), (2, 2_100)]),
            (
                "2/second sliding_window_counter",
                in_600_ms,
                [(1, 600), (1, 600), (1, 600), (1, 1_000)],
            ),
        ] {
            let quota: Quota = quota.parse().unwrap();
            let turns = [1, 2, 3, 4].map(|ahead| {
                let turn = Turn::behind(ahead, quota, 1).unwrap();
                (turn.peeked_cost(), turn.wait(&status).unwrap().as_millis())
            });
            assert_eq!(turns, expected, "{quota}");
        }
    }

    #[test]
    fn store_alone_knows_the_turn_of_other_requests() {
        let quota: Quota = "5/second".parse().unwrap();
        for (ahead, cost) in [(0, 1), (3, 0), (3, 6)] {
            assert!(Turn::behind(ahead, quota, cost).is_none(), "{ahead} {cost}");
        }
        let permits = Quota::concurrent(5, Duration::from_secs(10)).unwrap();
        assert!(Turn::behind(3, permits, 1).is_none());
    }

    #[test]
    fn turn_of_very_many_units_is_no_overflow() {
        for (algorithm, _) in Algorithm::NAMES {
            let quota = Quota::new(1, Quota::MAX_WINDOW).unwrap().with_algorithm(algorithm);
            let Ok(quota) = quota else { continue };
            let status = BucketStatus { retry_after: Some(Duration::MAX), ..Default::default() };
            let turn = Turn::behind(u64::MAX, quota, 1).unwrap();
            assert!(turn.wait(&status) > Some(Quota::MAX_WINDOW), "{algorithm}");
        }
    }
}
