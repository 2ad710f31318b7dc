//! The safety margin of leases for clocks that run at different rates.

use std::time::Duration;

/// The part of a lease that its holder does not use, because the clocks of the process and of the store may run at
/// slightly different rates.
const LEASES_PER_MARGIN: u32 = 100;

/// Returns the time before the end of a lease at which its holder stops using it.
pub(super) fn clock_margin(lease: Duration) -> Duration {
    lease / LEASES_PER_MARGIN
}
