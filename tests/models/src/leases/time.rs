//! Times of the server, relative to the current time. So a run may last any number of ticks with few states.

use super::config::Config;

/// A time of the server, in ticks. 0 is now, and positive numbers are in the future.
pub type Stamp = i8;

/// Returns the stamp of units that just expired. All earlier stamps have the same effect.
pub(super) fn expired(config: &Config) -> Stamp {
    -(config.window as Stamp)
}

/// Returns the stamp after one tick.
pub(super) fn age_stamp(config: &Config, stamp: Stamp) -> Stamp {
    (stamp - 1).max(expired(config))
}
