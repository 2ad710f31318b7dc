//! What operators ask of a guard.

#[cfg(feature = "operator")]
use std::time::Duration;

use super::{RateGuard, shadow::Side};
use crate::{Key, OnError, Policy};

/// The one place where explanations and verbs take policies by their names: as they are now, each time.
impl RateGuard {
    pub(crate) fn policy_now(&self, name: &str) -> Option<Policy> {
        self.in_force().known_policy(name).map(|named| named.policy.clone())
    }

    /// All that have a name, in the order of their names.
    #[cfg(feature = "operator")]
    pub(crate) fn policies_now(&self) -> Vec<Policy> {
        let mut policies: Vec<_> = self.in_force().policies().cloned().collect();
        policies.sort_by(|one, other| one.name().cmp(other.name()));
        policies
    }

    /// How long a denial may be remembered, here and by guards with the same settings.
    #[cfg(feature = "operator")]
    pub(crate) fn remembers_for(&self) -> Duration {
        self.shared.remembered.longest()
    }

    #[cfg(feature = "operator")]
    pub(crate) fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// Whether a server of the store is not asked for now, as it does not answer.
    #[cfg(feature = "operator")]
    pub(crate) fn has_open_breaker(&self) -> bool {
        self.shared.servers.asked().any(|server| server.breaker.open().is_some())
    }

    /// How many leading bits of an IPv6 address are one client.
    #[cfg(feature = "operator")]
    pub(crate) fn ipv6_bits(&self) -> u8 {
        self.http().ipv6_bits()
    }

    /// Whether the candidate of this policy is enforced for this key, if it has one.
    pub(crate) fn is_rolled_out(&self, policy: &Policy, key: &Key) -> Option<bool> {
        policy.tried_beside()?;
        Some(policy.side_for(&self.stored(key)) == Side::Candidate)
    }

    /// What happens when the store does not answer to requests under this policy, or under none in particular.
    pub(crate) fn on_error_of(&self, policy: Option<&Policy>) -> OnError {
        policy.and_then(Policy::own_on_error).unwrap_or_else(|| self.on_error())
    }
}
