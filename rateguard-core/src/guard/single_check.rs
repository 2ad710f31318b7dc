//! Checks one key against one quota in the store. Most checks have only one quota, so this module keeps no lists, and
//! its future is small.

use super::{
    RateGuard, Unavailable,
    fast_path::{log_denial, single_quota},
};
use crate::{
    Decision, Key, OnError, Policy,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Verdict},
    telemetry::mode::DecisionMode,
};

impl RateGuard {
    /// Checks a [hashed](Self::hashed_key) key, if [`check_fast`](Self::check_fast) could not decide. The caller must
    /// have applied the [override](Self::overridden_policy) of the key. `on_error` is the failure mode of a policy that
    /// sets no failure mode. If `is_exempt_from_ban` is true, the guard does not count a denial as an offence.
    ///
    /// # Errors
    ///
    /// The errors are the same as for [`Request::check`].
    #[doc(hidden)]
    pub async fn check_via_store(
        &self,
        policy: &Policy,
        key: &Key,
        cost: u32,
        is_exempt_from_ban: bool,
        on_error: OnError,
    ) -> Result<Decision, Unavailable> {
        let Some(quota) = single_quota(policy) else {
            let request = self.empty_request().default_on_error(on_error);
            let request = request.and_hashed(policy, *key, cost);
            let request = if is_exempt_from_ban { request.exempt_from_ban() } else { request };
            return Box::pin(request.check_via_store()).await;
        };
        let request = BucketRequest::new(Bucket::new(policy.name(), 0, key), quota, cost);
        let on_error = policy.own_on_error().unwrap_or(on_error);
        let check = self.check_bucket(policy, &request, on_error);
        self.report_single_check(policy, key, check).await
    }

    /// Checks the only bucket of a request.
    async fn check_bucket(
        &self,
        policy: &Policy,
        request: &BucketRequest<'_>,
        on_error: OnError,
    ) -> Result<Decision, Unavailable> {
        let (operation, requests) = (Operation::Check, std::slice::from_ref(request));
        let decision = match self.apply(operation, requests, || on_error).await {
            Ok(verdict) => {
                let is_of_store = verdict.mode() == DecisionMode::Store;
                // In every failure mode, the guard also counts the units in this process's memory. While the store is
                // overloaded, the guard decides with these counts, whatever the failure mode is.
                if self.has_remote_store() && is_of_store && verdict.is_allowed() {
                    let _ = self.shared.local.mirror(requests);
                    if let (Some(lease), Some(status)) =
                        (request.quota.lease(), verdict.statuses().next())
                    {
                        self.record_admission(policy, request, lease, status.remaining);
                    }
                }
                decision(policy, request, &verdict)
            }
            Err(unavailable) if unavailable.is_local() => {
                let local = &self.shared.local;
                let share = local.share(request);
                let verdict = local.apply(operation, &[share]);
                decision(policy, &share, &verdict).locally()
            }
            Err(unavailable) => return Err(unavailable),
        };
        log_denial(&decision);
        Ok(decision)
    }
}

/// Translates the verdict of the store on the only bucket of a request.
fn decision(policy: &Policy, request: &BucketRequest<'_>, verdict: &Verdict) -> Decision {
    let statuses = verdict
        .statuses()
        .map(|status| QuotaStatus::new(policy.shared_name().clone(), request, status));
    Decision::new(verdict.is_allowed(), statuses.collect())
        .by(verdict.mode())
        .denied_for_others(verdict.is_denied_for_others())
}
