//! What operators ask of a guard.

use std::time::Duration;

use super::RateGuard;
use crate::{Key, OnError, Policy, policy::QuotaVariant};

/// The one place where explanations and verbs take policies by their names: as they are now, each time.
impl RateGuard {
    #[doc(hidden)]
    pub fn current_policy(&self, name: &str) -> Option<Policy> {
        self.policy_set().peek_policy(name).map(|named| named.policy.clone())
    }

    /// All that have a name, in the order of their names.
    #[doc(hidden)]
    pub fn current_policies(&self) -> Vec<Policy> {
        let mut policies: Vec<_> = self.policy_set().policies().cloned().collect();
        policies.sort_by(|one, other| one.name().cmp(other.name()));
        policies
    }

    /// How long a denial may be remembered, here and by guards with the same settings.
    #[doc(hidden)]
    pub fn denial_cache_ttl(&self) -> Duration {
        self.shared.remembered.longest()
    }

    #[doc(hidden)]
    pub fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// Whether a server of the store is not asked for now, as it does not answer.
    #[doc(hidden)]
    pub fn has_open_breaker(&self) -> bool {
        self.shared.servers.asked().any(|server| server.breaker.open().is_some())
    }

    /// Whether the candidate of this policy is enforced for this key, if it has one.
    #[doc(hidden)]
    pub fn is_rolled_out(&self, policy: &Policy, key: &Key) -> Option<bool> {
        policy.candidate_quotas()?;
        Some(policy.variant_for(&self.hashed_key(key)) == QuotaVariant::Candidate)
    }

    /// What happens when the store does not answer to requests under this policy, or under none in particular.
    #[doc(hidden)]
    pub fn on_error_of(&self, policy: Option<&Policy>) -> OnError {
        policy.and_then(Policy::own_on_error).unwrap_or_else(|| self.on_error())
    }
}
