//! Counts the extra units that a handler adds to a request with a penalty.

/// The extra units that a handler has added to a request. The units are numbered in the order in which they were added.
#[derive(Clone, Copy, Default)]
pub(crate) struct AddedUnits {
    /// The number of all units.
    pub(crate) total: u32,
    /// The number of units that enforced limits have charged. A limit that is farther from the handler does not charge
    /// these units.
    pub(crate) charged: u32,
}

impl AddedUnits {
    /// Returns the number of units that a limit must charge. The limit has already charged the first `by_limit` units.
    pub(crate) fn to_charge(self, by_limit: u32) -> u32 {
        self.total.saturating_sub(self.charged.max(by_limit))
    }
}
