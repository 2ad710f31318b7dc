//! The valid ranges of settings.

use std::{ops::RangeInclusive, time::Duration};

/// The range of valid deadlines.
pub(crate) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);

/// The valid range for the maximum number of checks that wait for the store at the same time.
pub(crate) const MAX_IN_FLIGHT: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// The valid range for the maximum numbers of requests of clients that wait.
#[cfg(feature = "config")]
pub(crate) const MAX_WAITING: RangeInclusive<u64> = 0..=u32::MAX as u64;

/// The highest valid value for the setting `retry_jitter`: the maximum random time that an HTTP adapter adds to
/// `Retry-After`.
pub const MAX_RETRY_JITTER: Duration = Duration::from_secs(3_600);

/// The valid range for the setting `max_key_body`: the maximum length in bytes of a request body from which an HTTP
/// adapter reads a key. The adapter stores the body in memory, once for each request that is in progress.
pub const MAX_KEY_BODY: RangeInclusive<u64> = 1..=1_048_576;
