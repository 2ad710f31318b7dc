//! The valid ranges of settings.

use std::{ops::RangeInclusive, time::Duration};

/// The range of valid deadlines.
pub(crate) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);
