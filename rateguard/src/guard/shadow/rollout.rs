//! For which keys a candidate is enforced.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::Key;

/// So many percent of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rollout(u8);

impl Rollout {
    pub(super) const NOBODY: Self = Self(0);

    /// From 0 to 100.
    pub(super) fn of(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    pub(super) fn percent(self) -> u8 {
        self.0
    }

    /// Whether a key as it stands in the store is one of them.
    ///
    /// Each key of a policy has a place in the order in which keys come in, which is the same on every server. Another policy
    /// has another order, so that it is not always the same callers with whom something is tried.
    pub(super) fn includes(self, policy: &str, key: &Key) -> bool {
        match self.0 {
            0 => false,
            100.. => true,
            percent => place(policy, key) < percent,
        }
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// From 0 to 99.
fn place(policy: &str, key: &Key) -> u8 {
    // The digest of a key has a constant length, so no two pairs are the same bytes.
    let digest = Sha256::new().chain_update(key.digest()).chain_update(policy).finalize();
    let beginning = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    ((u128::from(beginning) * 100) >> 64) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(percent: u8, policy: &str) -> Vec<bool> {
        let rollout = Rollout::of(percent).unwrap();
        (0..10_000_u32).map(|number| rollout.includes(policy, &Key::from(number))).collect()
    }

    #[test]
    fn more_percent_only_add_keys() {
        let mut before = included(0, "search");
        assert!(!before.contains(&true));
        for percent in 1..=100 {
            let now = included(percent, "search");
            assert!(before.iter().zip(&now).all(|(before, now)| *now || !before), "{percent}");
            // Binomial: four standard deviations are 200 at the most.
            let keys = now.iter().filter(|it| **it).count();
            assert!(keys.abs_diff(usize::from(percent) * 100) <= 250, "{percent} %: {keys}");
            before = now;
        }
        assert!(!before.contains(&false));
    }

    #[test]
    fn the_keys_of_a_percentage_are_the_same_on_every_server() {
        // Changing this means that servers of two versions enforce different quotas for one key.
        let places = ["user-1", "user-2", "user-3", "user-4"];
        assert_eq!(places.map(|key| place("search", &Key::from(key))), [90, 44, 77, 94]);
    }

    #[test]
    fn another_policy_has_other_keys() {
        let (one, other) = (included(50, "search"), included(50, "login"));
        let alike = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(alike.abs_diff(5_000) <= 250, "{alike}");
    }
}
