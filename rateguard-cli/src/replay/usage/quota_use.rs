//! The use of one quota by one key: the units for which the key would need room if nothing were denied.

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

    /// Adds a request that needs room for `cost` units, and takes `units` of them.
    pub(super) fn add(&mut self, quota: Quota, time: u64, [cost, units]: [u32; 2], duration: u64) {
        match self {
            Self::Sliding(usage) => usage.add(time, [cost, units], quota.window_micros()),
            Self::Calendar { end, count, peak } => {
                if let Some(period) = quota.calendar_period().filter(|_| time >= *end) {
                    let bounds = calendar_bounds(period, Duration::from_micros(time));
                    *end = u64::try_from(bounds.end.as_micros()).unwrap_or(u64::MAX);
                    *count = 0;
                }
                *peak = (*peak).max(*count + u64::from(cost));
                *count += u64::from(units);
            }
            Self::InProgress(usage) => usage.add(time, duration),
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
