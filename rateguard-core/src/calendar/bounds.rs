//! Returns the bounds of single calendar periods, for stores and for header fields.

use std::{ops::Range, time::Duration};

use super::cache::starts_around;
use crate::{CalendarPeriod, Quota, clock::wall_clock};

/// Returns the start and the end of the calendar period that contains this time. All times are durations since
/// 1970-01-01T00:00:00 UTC, and a start before 1970 is 0.
///
/// A store needs this function for quotas with [`Algorithm::Calendar`](crate::Algorithm::Calendar). The units of such a
/// quota count from their admission until the end of the period.
#[must_use]
pub fn calendar_bounds(period: CalendarPeriod, time: Duration) -> Range<Duration> {
    let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let [_, start, end, _] = starts_around(period, time);
    let since_1970 = |micros: i64| Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    since_1970(start)..since_1970(end)
}

/// Returns the window of the quota. If the quota has a calendar period, returns the exact duration of the current
/// period.
#[must_use]
pub fn current_window(quota: Quota) -> Duration {
    let Some(period) = quota.calendar_period() else { return quota.window() };
    let Range { start, end } = calendar_bounds(period, wall_clock());
    end.saturating_sub(start)
}
