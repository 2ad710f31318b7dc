//! The fast path decides a check of one quota without creating a future. The in-memory store, the units of a lease or
//! the denial cache decide.

use super::RateGuard;
use crate::{
    Decision, Key, Policy, Quota,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest},
    telemetry::mode::DecisionMode,
};

impl RateGuard {
    /// Checks a [hashed](Self::hashed_key) key, if the in-memory store, a lease or the denial cache can decide. The
    /// caller must have applied the [override](Self::overridden_policy) of the key. Returns `None` if the guard is
    /// closed, if the policy has several quotas, a ban or a shadow mode, or if the decision needs a store call.
    ///
    /// [`check_via_store`](Self::check_via_store) would return the same decision. That method is several times as slow
    /// as this method, because it creates futures.
    #[doc(hidden)]
    pub fn check_fast(&self, policy: &Policy, key: &Key, cost: u32) -> Option<Decision> {
        let quota = single_quota(policy)?;
        if self.is_closed() {
            return None;
        }
        let request = BucketRequest::new(Bucket::new(policy.name(), 0, key), quota, cost);
        let (check, (allowed, status, mode)) = match self.shared.store.in_process() {
            Some(store) => {
                let check = self.start_check();
                let (allowed, status, is_shared) = store.check_one(&request);
                let mode = if is_shared { DecisionMode::Overflow } else { DecisionMode::Store };
                (check, (allowed, status, mode))
            }
            None => {
                // A lease comes before the denial cache: its units stay valid if the store denies other requests.
                let has_lease = quota.lease().is_some();
                match has_lease.then(|| self.check_with_lease(policy, &request)).flatten() {
                    Some(status) => (self.start_check(), (true, status, DecisionMode::Lease)),
                    None => {
                        let status = self.shared.denial_cache.denial(&request)?;
                        (self.start_check(), (false, status, DecisionMode::DenialCache))
                    }
                }
            }
        };
        let status = QuotaStatus::new(policy.shared_name().clone(), &request, status);
        let decision = Decision::of_one(allowed, status).by(mode);
        log_denial(&decision);
        check.decided(&decision, || Some(key));
        Some(decision)
    }
}

/// Returns the quota of a policy that has only one quota, which limits a rate, and no ban and no shadow mode.
pub(super) fn single_quota(policy: &Policy) -> Option<Quota> {
    let is_plain = policy.escalation().is_none() && policy.shadow_mode().is_none();
    match policy.quotas().as_slice() {
        [quota] if is_plain && !quota.algorithm().has_permits() => Some(*quota),
        _ => None,
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
