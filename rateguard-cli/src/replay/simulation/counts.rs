//! The numbers of requests of a policy by their outcome.

/// The numbers of requests of a policy by their outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyCounts {
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    /// Of the denied requests, those of banned keys.
    pub(crate) banned: u64,
    /// The requests that the access list or a missing key rejects with 403.
    pub(crate) forbidden: u64,
    /// The requests that the access list or a missing key exempts from the policy.
    pub(crate) exempt: u64,
    /// The requests of other methods and routes.
    pub(crate) not_limited: u64,
    /// The requests of further keys, after the maximum number of keys.
    pub(crate) left_out: u64,
}

impl PolicyCounts {
    /// Returns the number of requests in the scope of the policy.
    pub(crate) fn requests(&self) -> u64 {
        self.allowed + self.denied + self.forbidden + self.exempt + self.left_out
    }

    /// Returns the share of the decided requests that are denied.
    pub(crate) fn denied_share(&self) -> f64 {
        self.denied as f64 / (self.allowed + self.denied).max(1) as f64
    }
}
