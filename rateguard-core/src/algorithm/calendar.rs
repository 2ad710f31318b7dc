//! The calendar algorithm: a counter that is reset when a period of the calendar ends, such as a day in a time zone.
//!
//! Each period admits at most `limit` units. However, a client can take up to twice the limit in a short time: it takes
//! `limit` units at the end of one period, and `limit` units at the start of the next period.

use super::{LimiterState, Micros};
use crate::{Quota, calendar::starts_around};

/// The counter of a bucket: the units that were taken since `start`, which is the time of the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CalendarState {
    start: Micros,
    count: u32,
    /// The end of the period in which the units count.
    ends: Micros,
}

impl CalendarState {
    /// Updates the state to the time `now` and to the calendar period of the quota. `to_unix` is the time
    /// since 1970 minus the time of the store, in microseconds.
    pub(super) fn settle_in_calendar(&mut self, quota: Quota, now: Micros, to_unix: i64) {
        let Some(period) = quota.calendar_period() else { return self.settle(quota, now) };
        let since_1970 = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(to_unix);
        let [_, start, end, _] = starts_around(period, since_1970);
        let of_store = |time: i64| Micros::try_from(time.saturating_sub(to_unix)).unwrap_or(0);
        self.settle_in(of_store(start), of_store(end), now);
    }

    fn settle_in(&mut self, start: Micros, end: Micros, now: Micros) {
        self.start = self.start.min(now);
        self.ends = end;
        if self.start < start {
            self.count = 0;
        }
    }
}

impl LimiterState for CalendarState {
    /// Updates the state for a conversion to another algorithm. The units count until the end of their period.
    fn settle(&mut self, _: Quota, now: Micros) {
        self.start = self.start.min(now);
        if self.ends <= now {
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
        self.ends.saturating_sub(now)
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

    fn expires_at(&self, _: Quota) -> Micros {
        self.ends
    }
}
