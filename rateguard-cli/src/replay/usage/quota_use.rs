//! The use of one quota by one key: the units that the key would take if nothing were denied.

use std::time::Duration;

use actix_rateguard_core::{Quota, store::calendar_bounds};

use super::{in_progress::InProgressUse, sliding_use::SlidingUse};

#[derive(Debug)]
pub(crate) enum QuotaUse {
    /// For windows of a fixed length.
    Sliding(SlidingUse),
    /// The units in the calendar period that ends at `end`, in microseconds since 1970.
    Calendar {
        end: u64,
        count: u64,
        peak: u64,
    },
    InProgress(InProgressUse),
}

impl QuotaUse {
    pub(super) fn new(quota: Quota) -> Self {
        if quota.algorithm().has_permits() {
            Self::InProgress(InProgressUse::default())
        } else if quota.calendar_period().is_some() {
            Self::Calendar { end: 0, count: 0, peak: 0 }
        } else {
            Self::Sliding(SlidingUse::default())
        }
    }

    pub(super) fn add(&mut self, quota: Quota, time: u64, units: u32, duration: u64) {
        match self {
            Self::Sliding(usage) if units > 0 => usage.add(time, units, quota.window_micros()),
            Self::Calendar { end, count, peak } => {
                if time >= *end {
                    *end = period_end(quota, time).unwrap_or(*end);
                    *count = 0;
                }
                *count += u64::from(units);
                *peak = (*peak).max(*count);
            }
            Self::InProgress(usage) => usage.add(time, duration),
            Self::Sliding(_) => {}
        }
    }

    /// Removes units that a request took at this time, unless its window has ended.
    pub(super) fn refund(&mut self, quota: Quota, time: u64, units: u32) {
        match self {
            Self::Sliding(usage) => usage.refund(time, units, quota.window_micros()),
            Self::Calendar { end, count, .. } => {
                if is_in_period(quota, time, *end) {
                    *count = count.saturating_sub(u64::from(units));
                }
            }
            Self::InProgress(_) => {}
        }
    }

    pub(crate) fn peak(&self) -> u64 {
        match self {
            Self::Sliding(usage) => usage.peak(),
            Self::Calendar { peak, .. } => *peak,
            Self::InProgress(usage) => usage.peak(),
        }
    }

    /// Returns whether the peak is an upper bound of the exact value.
    pub(crate) fn is_upper_bound(&self) -> bool {
        matches!(self, Self::Sliding(usage) if usage.is_upper_bound)
    }
}

/// Returns the end of the calendar period of this time. `None` if the quota has no period.
fn period_end(quota: Quota, time: u64) -> Option<u64> {
    let bounds = calendar_bounds(quota.calendar_period()?, Duration::from_micros(time));
    Some(u64::try_from(bounds.end.as_micros()).unwrap_or(u64::MAX))
}

fn is_in_period(quota: Quota, time: u64, end: u64) -> bool {
    time < end && period_end(quota, time) == Some(end)
}
