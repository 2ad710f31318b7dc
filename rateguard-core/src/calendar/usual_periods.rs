//! Divides the time into periods of the usual duration, without a calendar.

use crate::CalendarPeriod;

/// The starts of four successive periods, in microseconds since 1970. The second of them is the start of the current
/// period, and the third is its end.
pub(super) type Starts = [i64; 4];

/// Returns the starts of periods of the usual duration. They replace the periods of the calendar at times that the
/// calendar does not have, which are more than 8,000 years away.
pub(super) fn usual_starts_around(period: CalendarPeriod, now: i64) -> Starts {
    let duration = i64::try_from(period.unit().usual_duration().as_micros()).unwrap_or(i64::MAX);
    let start = now.saturating_sub(now.rem_euclid(duration));
    [-1, 0, 1, 2].map(|number| start.saturating_add(duration * number))
}
