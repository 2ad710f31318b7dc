//! Accessors for operator tools, which read the current policies and settings.

use std::time::Duration;

use super::RateGuard;
use crate::{Key, OnError, Policy, policy::QuotaVariant};

/// Accessors for operator tools. These accessors do not mark the names of policies as used, so a changed policies file
/// can still omit these policies.
impl RateGuard {
    /// Returns the current policy with this name.
    #[doc(hidden)]
    pub fn current_policy(&self, name: &str) -> Option<Policy> {
        self.policy_set().peek_policy(name).map(|named| named.policy.clone())
    }

    /// Returns all current policies of the guard, ordered by name.
    #[doc(hidden)]
    pub fn current_policies(&self) -> Vec<Policy> {
        let mut policies: Vec<_> = self.policy_set().policies().cloned().collect();
        policies.sort_by(|one, other| one.name().cmp(other.name()));
        policies
    }

    /// The maximum lifetime of a cached denial. Zero if the cache is disabled, which is always the case for an
    /// in-memory store.
    #[doc(hidden)]
    pub fn denial_cache_ttl(&self) -> Duration {
        self.shared.denial_cache.max_ttl()
    }

    /// The maximum duration of a check.
    #[doc(hidden)]
    pub fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// Whether the circuit breaker of any server rejects checks now.
    #[doc(hidden)]
    pub fn has_open_breaker(&self) -> bool {
        self.shared.servers.used().any(|server| server.breaker.open_cause().is_some())
    }

    /// Whether the guard enforces the candidate quotas of this policy for this key. `None` if the policy has no
    /// candidate quotas.
    #[doc(hidden)]
    pub fn is_rolled_out(&self, policy: &Policy, key: &Key) -> Option<bool> {
        policy.candidate_quotas()?;
        let key = self.hashed_key(key);
        let is_overridden = self.overridden_policy(policy, &key).is_some();
        Some(!is_overridden && policy.variant_for(&key) == QuotaVariant::Candidate)
    }

    /// Returns the key with this digest, which is in the statistics or in the list of overrides. The guard does not hash
    /// the returned key again. `None` if the store needs the key itself, and this process does not have it.
    #[doc(hidden)]
    #[must_use]
    pub fn key_of_digest(&self, digest: [u8; 16]) -> Option<Key> {
        let recorded = self.shared.statistics.find_key(&digest, || self.monotonic_time());
        let is_hashed = self.has_remote_store() || self.key_secret().is_some();
        match recorded {
            // The recorded key also has the network of the client.
            Some(key) => Some(if is_hashed { key.into_hashed() } else { key }),
            None => is_hashed.then(|| Key::of_digest(&digest).into_hashed()),
        }
    }

    /// Returns the failure mode of this policy, or the failure mode of the guard if the policy sets no failure mode.
    #[doc(hidden)]
    pub fn on_error_of(&self, policy: Option<&Policy>) -> OnError {
        policy.and_then(Policy::own_on_error).unwrap_or_else(|| self.on_error())
    }
}
