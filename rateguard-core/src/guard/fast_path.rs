//! The usual check, without ado: of one quota, in memory, or by a denial that is remembered.

use super::RateGuard;
use crate::{
    Decision, Key, Policy,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest},
    telemetry::mode::DecisionMode,
};

impl RateGuard {
    /// The decision of a check that needs no more than our store in memory, or a denial that is remembered: of a single
    /// quota, without a ban, and of a key as it stands in the store.
    ///
    /// It is what the way of all others would say. That one has lists of charges, an error for when there is no answer, and
    /// futures that wait for one, and all that costs several times what the check itself does in memory.
    #[doc(hidden)]
    pub fn check_fast(&self, policy: &Policy, key: &Key, cost: u32) -> Option<Decision> {
        let [quota] = policy.quotas().as_slice() else { return None };
        if policy.escalation().is_some() || policy.shadow_mode().is_some() || self.is_closed() {
            return None;
        }
        let charge = BucketRequest::new(Bucket::new(policy.name(), 0, key), *quota, cost);
        let (check, (allowed, level, mode)) = match self.shared.store.as_memory() {
            Some(store) => (self.start_check(), store.check_one(&charge)),
            None => {
                let level = self.shared.remembered.denial(&charge)?;
                (self.start_check(), (false, level, DecisionMode::DenialCache))
            }
        };
        let standing = QuotaStatus::new(policy.shared_name().clone(), &charge, level);
        let decision = Decision::of_one(allowed, standing).by(mode);
        log_denial(&decision);
        check.decided(&decision);
        Some(decision)
    }
}

pub(super) fn log_denial(decision: &Decision) {
    if !decision.is_allowed() {
        log::debug!(
            target: "rateguard",
            "denied by `{}`, {}", decision.policy(), decision.quota()
        );
    }
}
