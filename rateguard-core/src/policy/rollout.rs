//! Defines the rollout: the percentage of the keys for which the guard enforces the candidate quotas instead of the
//! policy's own quotas.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::Key;

/// The percentage, from 0 to 100, of the keys for which the guard enforces the candidate quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rollout(u8);

impl Rollout {
    /// A rollout of 0 percent: the guard enforces the candidate quotas for no key.
    pub(super) const NONE: Self = Self(0);

    /// Creates a rollout. Returns `None` if the percentage is above 100.
    pub(super) fn of(percent: u8) -> Option<Self> {
        (percent <= 100).then_some(Self(percent))
    }

    pub(super) fn percent(self) -> u8 {
        self.0
    }

    /// Returns whether the guard enforces the candidate quotas for a hashed key.
    ///
    /// Each key has a percentile, a number from 0 to 99 that depends only on the key and the policy. A key has the
    /// same percentile on every application server, and usually different percentiles for different policies. So a
    /// small rollout does not affect the same keys in every policy.
    pub(super) fn includes(self, policy: &str, key: &Key) -> bool {
        match self.0 {
            0 => false,
            100.. => true,
            percent => percentile(policy, key) < percent,
        }
    }
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Returns a number from 0 to 99 for a key. The numbers are uniformly distributed over all keys of a policy.
fn percentile(policy: &str, key: &Key) -> u8 {
    // The digest of a key has a constant number of bytes. So two different pairs of a key and a policy never give
    // the same input to the hash.
    let digest = Sha256::new().chain_update(key.digest()).chain_update(policy).finalize();
    let prefix = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    ((u128::from(prefix) * 100) >> 64) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn included(percent: u8, policy: &str) -> Vec<bool> {
        let rollout = Rollout::of(percent).unwrap();
        (0..10_000_u32).map(|number| rollout.includes(policy, &Key::from(number))).collect()
    }

    #[test]
    fn higher_percentage_only_adds_keys() {
        let mut before = included(0, "search");
        assert!(!before.contains(&true));
        for percent in 1..=100 {
            let now = included(percent, "search");
            assert!(before.iter().zip(&now).all(|(before, now)| *now || !before), "{percent}");
            // The number of keys that use the candidate quotas has a binomial distribution, and four standard
            // deviations are at most 200 keys. So a difference of more than 250 keys does not occur by chance.
            let keys = now.iter().filter(|it| **it).count();
            assert!(keys.abs_diff(usize::from(percent) * 100) <= 250, "{percent} %: {keys}");
            before = now;
        }
        assert!(!before.contains(&false));
    }

    #[test]
    fn percentiles_of_keys_are_stable() {
        // These percentiles must not change. Otherwise application servers with different versions of this crate
        // would enforce different quotas for the same key.
        let keys = ["user-1", "user-2", "user-3", "user-4"];
        assert_eq!(keys.map(|key| percentile("search", &Key::from(key))), [90, 44, 77, 94]);
    }

    #[test]
    fn policies_roll_out_to_independent_keys() {
        let (one, other) = (included(50, "search"), included(50, "login"));
        let alike = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(alike.abs_diff(5_000) <= 250, "{alike}");
    }
}
