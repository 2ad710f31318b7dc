//! The interface between the model and the state of a quota in the store.

use std::{fmt::Debug, hash::Hash};

use super::{
    config::Config,
    lease::{Lease, Return},
    time::Stamp,
};

/// The state of a quota in the store, and the actual uses of its units, which only the properties read.
pub trait Bucket: Clone + Debug + Ord + Hash + Send + Sync + 'static {
    /// The state that the store has for one lease.
    type Hold: Clone + Debug + Default + Ord + Hash + Send + Sync;

    /// True if a return reports the time of each use.
    const NEEDS_STAMPS: bool;

    /// Returns the state of an unused quota.
    fn new(config: &Config) -> Self;

    /// Returns the number of units that the store would grant.
    fn room(&self, config: &Config, leases: &[Lease<Self::Hold>]) -> u8;

    /// Takes units for a lease.
    fn grant(&mut self, config: &Config, units: u8) -> Self::Hold;

    /// Takes a unit without a lease, and uses it.
    fn take(&mut self);

    /// Records the use of a leased unit. The store does not notice it.
    fn record_use(&mut self);

    /// Forgets the use of a unit that was refunded.
    fn forget_use(&mut self, age: u8);

    /// Executes the refund of a use after its return: removes one unit with this stamp, if there is one.
    fn refund(&mut self, config: &Config, leases: &mut [Lease<Self::Hold>], stamp: Stamp);

    /// Executes the return of the lease with this index.
    fn settle(
        &mut self,
        config: &Config,
        leases: &mut [Lease<Self::Hold>],
        index: usize,
        returned: &Return,
    );

    /// Keeps the units of a lease that no message names any more. Returns what must remain with the lease.
    fn orphan(&mut self, hold: Self::Hold) -> Self::Hold;

    /// Lets one tick pass.
    fn tick(&mut self, config: &Config, leases: &mut [Lease<Self::Hold>]);

    /// Sets the clock of the server back by one tick.
    fn step_back(&mut self, config: &Config, leases: &mut [Lease<Self::Hold>]);

    /// Resets the quota. The uses before the reset do not count.
    fn reset(&mut self, config: &Config, leases: &mut [Lease<Self::Hold>]);

    /// Returns true if the store counts at most `limit` units, and none for longer than a lease and a window.
    fn is_bounded(&self, config: &Config, leases: &[Lease<Self::Hold>]) -> bool;

    /// Returns true if the actual uses respect the quota.
    fn is_respected(&self, config: &Config) -> bool;

    /// Returns true if the actual uses exhaust the quota.
    fn is_exhausted(&self, config: &Config) -> bool;
}
