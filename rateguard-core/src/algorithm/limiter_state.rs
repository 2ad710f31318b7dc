//! The operations of every algorithm on the state of a bucket.

use super::Micros;
use crate::Quota;

/// The state of a bucket for one algorithm. The default value is the state of an empty bucket.
pub(crate) trait LimiterState: Default {
    /// Updates the state to the time `now`, and stops counting expired units. If the clock was set back, units from the
    /// future count as taken at `now`.
    fn settle(&mut self, quota: Quota, now: Micros);

    /// Returns the number of units that count.
    fn used(&self, quota: Quota) -> u32;

    /// Returns the time until `units` more fit. `units` is between 1 and the quota's capacity.
    fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Micros;

    /// Adds the units, even beyond the capacity.
    fn add(&mut self, quota: Quota, now: Micros, units: u32);

    /// Removes at most `units` of the units that were taken at `taken_at`. Does nothing if they no longer count.
    fn refund(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros);

    /// Removes all units. Units that were taken until now cannot be refunded afterwards.
    fn reset(&mut self, _now: Micros) {
        *self = Self::default();
    }

    /// Returns the time at which all units have expired. From then on, the store can drop the state.
    fn expires_at(&self, quota: Quota) -> Micros;
}
