//! The sliding window as two counters: of this window and of the one before.
//!
//! Windows begin at whole multiples of their length. The requests of the one before are taken to be spread evenly over
//! it, so as many of them count as lie in the part that the sliding window still covers; a fraction of a request is a
//! whole one. Where they are not spread evenly it admits too many or too few, and never more than two limits in one
//! window. After Cloudflare's "How we built rate limiting capable of scaling to millions of domains" (2017).

use super::{Micros, Step, micros};
use crate::Quota;

/// The requests of the window that begins at `start`, and of the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    window: Micros,
    start: Micros,
    current: u32,
    previous: u32,
    /// How far the window has come.
    elapsed: Micros,
    /// When they were reset, if they were: what was taken until then is not here.
    reset_at: Option<Micros>,
}

impl Counters {
    /// How many count after `elapsed`.
    fn weighted(&self, elapsed: Micros) -> u32 {
        // In floating point, as the script does it. Below 2^53, where limit times window mostly are, it is exact.
        let left = (self.window - elapsed) as f64;
        let of_previous = (f64::from(self.previous) * left / self.window as f64).ceil();
        self.current.saturating_add(of_previous as u32)
    }

    /// How long it takes until no more than `most` count.
    fn until_at_most(&self, most: u32) -> Micros {
        if self.weighted(self.elapsed) <= most {
            return 0;
        }
        if self.current > most {
            // Not in this window; in the next one these are the previous.
            return self.window - self.elapsed + self.next_window().until_at_most(most);
        }
        // So few of the previous count that they fit beside the current ones.
        let fitting = f64::from(most - self.current) / f64::from(self.previous);
        let guess = (self.window as f64 * (1.0 - fitting)).ceil() as Micros;
        let mut elapsed = guess.clamp(self.elapsed + 1, self.window);
        while self.weighted(elapsed) > most {
            elapsed += 1;
        }
        while elapsed > self.elapsed + 1 && self.weighted(elapsed - 1) <= most {
            elapsed -= 1;
        }
        elapsed - self.elapsed
    }

    /// Comes to the window that begins at `start`.
    fn roll(&mut self, start: Micros, elapsed: Micros) {
        if self.start + self.window == start {
            *self = self.next_window();
        } else if self.start < start {
            (self.current, self.previous) = (0, 0);
        }
        // If the clock was set back, what is counted counts in the window that it is back in.
        self.start = start;
        self.elapsed = elapsed;
    }

    /// These counters when the next window begins.
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

impl Step for Counters {
    fn settle(&mut self, quota: Quota, now: Micros) {
        let window = micros(quota);
        let elapsed = now % window;
        let start = now - elapsed;
        if self.window != window {
            // Another window, or the first: what counts of the old one counts on, as if it came now.
            let counting = if self.window == 0 {
                0
            } else {
                self.roll(now - now % self.window, now % self.window);
                self.weighted(self.elapsed)
            };
            let reset_at = self.reset_at;
            *self = Self { window, start, current: counting, previous: 0, elapsed, reset_at };
        }
        self.roll(start, elapsed);
    }

    fn used(&self, _: Quota) -> u32 {
        self.weighted(self.elapsed)
    }

    fn until_room(&self, quota: Quota, _: Micros, units: u32) -> Micros {
        self.until_at_most(quota.capacity().saturating_sub(units))
    }

    fn add(&mut self, quota: Quota, now: Micros, units: u32) {
        if self.window == 0 {
            self.settle(quota, now);
        }
        self.current = self.current.saturating_add(units);
    }

    fn give_back(&mut self, quota: Quota, _: Micros, units: u32, taken_at: Micros) {
        if self.window != micros(quota) || Some(taken_at) <= self.reset_at {
            // What counts is no longer what was taken.
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
