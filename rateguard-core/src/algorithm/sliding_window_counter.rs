//! The sliding window algorithm with two counters: one for the current window, and one for the previous window.
//!
//! Each window begins at a multiple of the window's duration. The algorithm assumes that clients took the units of
//! the previous window at a constant rate. It multiplies the previous counter by the fraction of the previous window
//! that the sliding window still covers, and rounds up. If the rate was not constant, the algorithm admits too many
//! or too few units, but it never admits more than twice the limit in one window. Source: Cloudflare, "How we built
//! rate limiting capable of scaling to millions of domains" (2017).

use super::{LimiterState, Micros, micros};
use crate::Quota;

/// The two counters of a bucket: the units of the window that begins at `start`, and the units of the previous
/// window.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlidingWindowCounterState {
    window: Micros,
    start: Micros,
    current: u32,
    previous: u32,
    /// The time that has passed since `start`.
    elapsed: Micros,
    /// The time of the last reset. `refund` ignores units that were taken at this time or earlier, because the reset
    /// has already removed them.
    reset_at: Option<Micros>,
}

impl SlidingWindowCounterState {
    /// Returns the number of units that count at the time `start + elapsed`.
    fn weighted(&self, elapsed: Micros) -> u32 {
        // The Lua script also uses floating point numbers, so its result is equal to this result. The product is exact
        // if it is less than 2^53, which is true for most quotas.
        let remaining = (self.window - elapsed) as f64;
        let of_previous = (f64::from(self.previous) * remaining / self.window as f64).ceil();
        self.current.saturating_add(of_previous as u32)
    }

    /// Returns the time until the weighted number of units falls to `max_units`. Returns 0 if the number is not above
    /// `max_units` now.
    fn wait_until_at_most(&self, max_units: u32) -> Micros {
        if self.weighted(self.elapsed) <= max_units {
            return 0;
        }
        if self.current > max_units {
            // All units of the current window count until this window ends, so the request cannot fit earlier. In the
            // next window, their number is multiplied by a decreasing fraction until the request fits.
            return self.window - self.elapsed + self.next_window().wait_until_at_most(max_units);
        }
        // The request fits when the previous counter is multiplied by this fraction or by a smaller fraction.
        let fitting = f64::from(max_units - self.current) / f64::from(self.previous);
        let estimate = (self.window as f64 * (1.0 - fitting)).ceil() as Micros;
        let mut elapsed = estimate.clamp(self.elapsed + 1, self.window);
        // Because of rounding, the estimate may differ from the exact time by some microseconds. Search for the exact
        // time.
        while self.weighted(elapsed) > max_units {
            elapsed += 1;
        }
        while elapsed > self.elapsed + 1 && self.weighted(elapsed - 1) <= max_units {
            elapsed -= 1;
        }
        elapsed - self.elapsed
    }

    /// Moves the counters to the window that begins at `start`.
    fn roll(&mut self, start: Micros, elapsed: Micros) {
        if self.start + self.window == start {
            *self = self.next_window();
        } else if self.start < start {
            (self.current, self.previous) = (0, 0);
        }
        // If the clock was set back to an earlier window, the counters do not change, so no unit is lost.
        self.start = start;
        self.elapsed = elapsed;
    }

    /// Returns the state at the start of the next window, if no request takes units until then.
    fn next_window(&self) -> Self {
        Self {
            window: self.window,
            start: self.start + self.window,
            current: 0,
            previous: self.current,
            elapsed: 0,
            reset_at: self.reset_at,
        }
    }
}

impl LimiterState for SlidingWindowCounterState {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let window = micros(quota);
        let elapsed = now % window;
        let start = now - elapsed;
        if self.window != window {
            // The window of the quota has changed, so the counters are for windows of the old duration. Count their
            // units as if they were all taken now.
            let converted = if self.window == 0 {
                0
            } else {
                self.roll(now - now % self.window, now % self.window);
                self.weighted(self.elapsed)
            };
            let reset_at = self.reset_at;
            *self = Self { window, start, current: converted, previous: 0, elapsed, reset_at };
        }
        self.roll(start, elapsed);
    }

    fn used(&self, _: Quota) -> u32 {
        self.weighted(self.elapsed)
    }

    fn wait_for(&self, quota: Quota, _: Micros, units: u32) -> Micros {
        self.wait_until_at_most(quota.capacity().saturating_sub(units))
    }

    fn add(&mut self, quota: Quota, now: Micros, units: u32) {
        if self.window == 0 {
            self.settle(quota, now);
        }
        self.current = self.current.saturating_add(units);
    }

    fn refund(&mut self, quota: Quota, _: Micros, units: u32, taken_at: Micros) {
        if self.window != micros(quota) || Some(taken_at) <= self.reset_at {
            // The counters no longer contain these units, because the window has changed or because a reset has
            // removed them.
            return;
        }
        let counter = if taken_at >= self.start {
            (taken_at < self.start + self.window).then_some(&mut self.current)
        } else {
            (taken_at + self.window >= self.start).then_some(&mut self.previous)
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_sub(units);
        }
    }

    fn reset(&mut self, now: Micros) {
        *self = Self { reset_at: Some(now), ..Self::default() };
    }

    fn expires_at(&self, _: Quota) -> Micros {
        self.start + 2 * self.window
    }
}
