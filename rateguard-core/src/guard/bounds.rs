//! The valid ranges of settings.

use std::{ops::RangeInclusive, time::Duration};

/// The range of valid deadlines.
pub(crate) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);

/// The range of valid maximum numbers of checks that wait for the store.
pub(crate) const MAX_IN_FLIGHT: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// The longest random delay of `Retry-After`.
pub const MAX_RETRY_JITTER: Duration = Duration::from_secs(3_600);
