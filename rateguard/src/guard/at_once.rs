//! The usual check, without ado: of one quota, in memory, or by a denial that is remembered.

use super::RateGuard;
use crate::{
    Decision, Key, Policy,
    mode::Mode,
    standing::Standing,
    store::{Bucket, Charge},
};

impl RateGuard {
    /// The decision of a check that needs no more than our store in memory, or a denial that is remembered: of a single
    /// quota, without a ban, and of a key as it stands in the store.
    ///
    /// It is what the way of all others would say. That one has lists of charges, an error for when there is no answer, and
    /// futures that wait for one, and all that costs several times what the check itself does in memory.
    pub(crate) fn check_at_once(&self, policy: &Policy, key: &Key, cost: u32) -> Option<Decision> {
        let [quota] = policy.quotas().as_slice() else { return None };
        if policy.escalation().is_some() || policy.trial().is_some() || self.is_closed() {
            return None;
        }
        let charge = Charge::new(Bucket::new(policy.name(), 0, key), *quota, cost);
        let (check, (allowed, level, mode)) = match self.shared.store.as_memory() {
            Some(store) => (self.begin_to_see(), store.check_one(&charge)),
            None => {
                let level = self.shared.remembered.denial(&charge)?;
                (self.begin_to_see(), (false, level, Mode::Remembered))
            }
        };
        let standing = Standing::new(policy.shared_name().clone(), &charge, level);
        let decision = Decision::of_one(allowed, standing).by(mode);
        say_if_denied(&decision);
        check.decided(&decision);
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
