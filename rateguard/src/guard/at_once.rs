//! The usual check, without ado: of one quota, in memory.

use super::RateGuard;
use crate::{
    Decision, Key, Policy,
    standing::Standing,
    store::{Bucket, Charge},
};

impl RateGuard {
    /// The decision of a check that needs no more than our store in memory: of a single quota, and without a ban.
    ///
    /// It is what the way of all others would say. That one has lists of charges, an error for when there is no answer, and
    /// futures that wait for one, and all that costs several times what the check itself does in memory.
    pub(crate) fn check_at_once(&self, policy: &Policy, key: &Key, cost: u32) -> Option<Decision> {
        match &self.shared.secret {
            None => self.check_stored_at_once(policy, key, cost),
            Some(secret) => self.check_stored_at_once(policy, &secret.seal(key), cost),
        }
    }

    /// The same of a key as it stands in the store.
    pub(super) fn check_stored_at_once(
        &self,
        policy: &Policy,
        key: &Key,
        cost: u32,
    ) -> Option<Decision> {
        let store = self.shared.store.as_memory()?;
        let [quota] = policy.quotas().as_slice() else { return None };
        if policy.escalation().is_some() || policy.trial().is_some() || self.is_closed() {
            return None;
        }
        let charge = Charge::new(Bucket::new(policy.name(), 0, key), *quota, cost);
        let (allowed, level) = store.check_one(&charge);
        let standing = Standing::new(policy.shared_name().clone(), &charge, level);
        let decision = Decision::of_one(allowed, standing);
        say_if_denied(&decision);
        Some(decision)
    }
}

pub(super) fn say_if_denied(decision: &Decision) {
    if !decision.is_allowed() {
        log::debug!(
            target: "rateguard",
            "denied by `{}`, {}", decision.policy(), decision.quota()
        );
    }
}
