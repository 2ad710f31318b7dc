//! The fixed window: a counter that starts at the first request and is forgotten a window later.
//!
//! It admits at most `limit` in each window. Across the end of one there may be up to two limits in less than a
//! window, which is why the sliding window is the default.

use super::{Micros, Step, micros};
use crate::Quota;

/// The requests since the first one of the window.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    start: Micros,
    count: u32,
}

impl Step for Counter {
    fn settle(&mut self, quota: Quota, now: Micros) {
        self.start = self.start.min(now);
        if self.expires_at(quota) <= now {
            self.count = 0;
        }
    }

    fn used(&self, _: Quota) -> u32 {
        self.count
    }

    fn until_room(&self, quota: Quota, now: Micros, units: u32) -> Micros {
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

    fn give_back(&mut self, _: Quota, _: Micros, units: u32, taken_at: Micros) {
        if taken_at >= self.start {
            self.count = self.count.saturating_sub(units);
        }
    }

    fn expires_at(&self, quota: Quota) -> Micros {
        self.start + micros(quota)
    }
}
