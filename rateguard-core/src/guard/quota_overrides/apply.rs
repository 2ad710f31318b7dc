//! Applies overrides to checks.

use std::{sync::Arc, time::Duration};

use crate::{Key, Policy, guard::RateGuard};

impl RateGuard {
    /// Returns the policy that applies to a [hashed](Self::hashed_key) key in place of `policy`, if the key has an
    /// override. The result has the quotas of the override and all other settings of `policy`.
    #[doc(hidden)]
    #[inline]
    pub fn overridden_policy(&self, policy: &Policy, key: &Key) -> Option<Arc<Policy>> {
        if self.shared.overrides.has_any() { self.find_override(policy, key) } else { None }
    }

    #[cold]
    fn find_override(&self, policy: &Policy, key: &Key) -> Option<Arc<Policy>> {
        let quotas = self.shared.overrides.quotas(policy.name(), key, self.override_time())?;
        Some(Arc::new(policy.overridden(quotas)))
    }

    /// Does the same as [`overridden_policy`](Self::overridden_policy) for a key that is not hashed.
    #[doc(hidden)]
    pub fn override_of(&self, policy: &Policy, key: &Key) -> Option<Arc<Policy>> {
        if !self.shared.overrides.has_any() {
            return None;
        }
        self.find_override(policy, &self.hashed_key(key))
    }

    /// Returns the number of keys that have an override under the policy with this name.
    #[doc(hidden)]
    pub fn overridden_keys(&self, policy: &str) -> usize {
        self.shared.overrides.count(policy, self.override_time())
    }

    /// Returns the time on the clock by which overrides end in this process.
    pub(super) fn override_time(&self) -> Duration {
        let shared = &self.shared;
        shared.store.in_process().map_or_else(|| shared.overrides.time(), |store| store.now())
    }
}
