//! Replaces the calendar in builds without the feature `calendar`, which have no calendar quotas.

use super::usual_periods::Starts;
use crate::CalendarPeriod;

pub(super) fn starts_around(_: CalendarPeriod, _: i64) -> Option<Starts> {
    None
}
