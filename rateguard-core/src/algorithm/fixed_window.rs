//! The fixed window algorithm: a counter with a window that starts at the first request. The counter is reset when
//! the window ends.
//!
//! Each window admits at most `limit` units. However, a client can take up to twice the limit in a short time: it takes
//! `limit` units at the end of one window, and `limit` units at the start of the next window. For this reason the
//! sliding window is the default.

use super::{LimiterState, Micros, micros};
use crate::Quota;

/// The counter of a bucket: the units that were taken since `start`.
#[derive(Clone, Debug, Default)]
pub(crate) struct FixedWindowState {
    start: Micros,
    count: u32,
}

impl LimiterState for FixedWindowState {
    fn settle(&mut self, quota: Quota, now: Micros) {
        self.start = self.start.min(now);
        if self.expires_at(quota) <= now {
            self.count = 0;
        }
    }

    fn used(&self, _: Quota) -> u32 {
        self.count
    }

    fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Micros {
        if quota.capacity().saturating_sub(self.count) >= units {
            return 0;
        }
        self.expires_at(quota).saturating_sub(now)
    }

    fn add(&mut self, _: Quota, now: Micros, units: u32) {
        if self.count == 0 {
            self.start = now;
        }
        self.count = self.count.saturating_add(units);
    }

    fn refund(&mut self, _: Quota, _: Micros, units: u32, taken_at: Micros) {
        if taken_at >= self.start {
            self.count = self.count.saturating_sub(units);
        }
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        self.start + micros(quota)
    }
}
