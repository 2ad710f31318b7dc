//! The counters of a policy.

use super::values::OutcomeCounts;

/// A counter of a policy. The discriminant is the index of the counter in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Allowed,
    Denied,
    Banned,
    Rejected,
    UndecidedPassed,
    Waited,
    WouldDeny,
}

impl Counter {
    pub(crate) const ALL: [Self; 7] = [
        Self::Allowed,
        Self::Denied,
        Self::Banned,
        Self::Rejected,
        Self::UndecidedPassed,
        Self::Waited,
        Self::WouldDeny,
    ];
}

/// The number of counters of a policy.
pub(crate) const COUNTERS: usize = Counter::ALL.len();

/// The values of all counters, in the order of [`Counter::ALL`].
pub(crate) type CounterRow = [u64; COUNTERS];

impl OutcomeCounts {
    pub(crate) fn from_row(row: &CounterRow) -> Self {
        let of = |counter: Counter| row[counter as usize];
        Self {
            allowed: of(Counter::Allowed),
            denied: of(Counter::Denied),
            banned: of(Counter::Banned),
            rejected: of(Counter::Rejected),
            undecided_passed: of(Counter::UndecidedPassed),
            waited: of(Counter::Waited),
            would_deny: of(Counter::WouldDeny),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.denied = self.denied.saturating_add(other.denied);
        self.banned = self.banned.saturating_add(other.banned);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.undecided_passed = self.undecided_passed.saturating_add(other.undecided_passed);
        self.waited = self.waited.saturating_add(other.waited);
        self.would_deny = self.would_deny.saturating_add(other.would_deny);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_in_all_is_the_discriminant() {
        assert!(Counter::ALL.into_iter().enumerate().all(|(index, it)| it as usize == index));
    }
}
