//! Defines the operations that each algorithm implements for the state of a bucket.

use super::Micros;
use crate::Quota;

/// The state of a bucket for one algorithm. The default value is the state of a bucket that has no units.
pub(crate) trait LimiterState: Default {
    /// Updates the state to the time `now`, so that expired units no longer count. If the clock was set back, some
    /// units have a later time than `now`. These units count as taken at `now`.
    fn settle(&mut self, quota: Quota, now: Micros);

    /// Returns the number of units that currently count.
    fn used(&self, quota: Quota) -> u32;

    /// Returns the time until `units` more units fit. The caller passes a value from 1 to the capacity of the quota.
    fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Micros;

    /// Adds the units, even if the sum is then larger than the capacity.
    fn add(&mut self, quota: Quota, now: Micros, units: u32);

    /// Removes up to `units` units that were taken at `taken_at`. Does nothing if these units no longer count.
    fn refund(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros);

    /// Removes all units. After a reset, units that were taken before the reset can no longer be refunded.
    fn reset(&mut self, _now: Micros) {
        *self = Self::default();
    }

    /// Returns the time at which all units have expired. After this time, the store can drop the state.
    fn expires_at(&self, quota: Quota) -> Micros;
}
