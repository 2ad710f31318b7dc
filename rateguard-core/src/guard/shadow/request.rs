//! Runs the shadow checks of a request together with the enforced check of the request.

use std::future::Future;

use smallvec::SmallVec;

use super::{
    super::{Reservation, Unavailable, request::Request, requested_limit::RequestedLimit},
    report::ShadowCounts,
    shadow_check::{ShadowCheck, ShadowChecks, ShadowHolds},
};
use crate::{
    Decision, Policy, RateGuard,
    policy::{QuotaVariant, ShadowMode},
    store::{Bucket, BucketRequest, Operation},
};

impl Request<'_> {
    /// Runs the enforced operation, and runs the same operation on the policies and candidate quotas in shadow mode.
    /// If all policies of the request are in shadow mode, there is no enforced operation.
    pub(in crate::guard) async fn run_with_shadows(
        &self,
        operation: Operation,
        enforced: impl Future<Output = Result<Decision, Unavailable>>,
    ) -> Result<Decision, Unavailable> {
        match self.shadow_checks(operation) {
            None => enforced.await,
            Some(checks) if self.is_in_shadow() => Ok(checks.decision().await?.0),
            Some(checks) => checks.run_alongside(enforced).await.0,
        }
    }

    /// Runs the enforced peek. If all policies of the request are in shadow mode, runs a peek at these policies
    /// instead.
    pub(in crate::guard) async fn peeked(
        &self,
        enforced: impl Future<Output = Result<Decision, Unavailable>>,
    ) -> Result<Decision, Unavailable> {
        if self.is_in_shadow()
            && let Some(checks) = self.shadow_checks(Operation::Peek)
        {
            return Ok(checks.decision().await?.0);
        }
        enforced.await
    }

    /// Runs the enforced reservation and the shadow checks. The reservation also contains the units that the shadow
    /// checks have taken.
    pub(in crate::guard) async fn reserve_with_shadows(
        &self,
        enforced: impl Future<Output = Result<Reservation, Unavailable>>,
    ) -> Result<Reservation, Unavailable> {
        match self.shadow_checks(Operation::Check) {
            None => enforced.await,
            Some(checks) if self.is_in_shadow() => {
                let (decision, holds) = checks.decision().await?;
                Ok(Reservation::of_shadows(self.guard(), decision, &self.limits, holds))
            }
            Some(checks) => {
                let (reservation, holds) = checks.run_alongside(enforced).await;
                Ok(reservation?.with_shadows(holds))
            }
        }
    }

    /// Starts only the shadow checks of the request, without an enforced check. This method does not wait for the
    /// results.
    #[doc(hidden)]
    pub fn check_shadow_only(&self) -> Option<ShadowHolds> {
        self.shadow_checks(Operation::Check).map(ShadowChecks::start)
    }

    /// Starts only the debits in shadow mode, without an enforced debit. This method does not wait for the results.
    #[doc(hidden)]
    pub fn debit_shadow_only(&self) {
        self.shadow_checks(Operation::Debit).map(ShadowChecks::start);
    }

    /// Whether any policy of the request is in shadow mode or has candidate quotas.
    pub(in crate::guard) fn has_shadow_limits(&self) -> bool {
        self.limits.iter().any(|requested| requested.policy.shadow_mode().is_some())
    }

    /// Whether the request has policies and all of them are in shadow mode. The guard then enforces no limit for the
    /// request.
    pub(in crate::guard) fn is_in_shadow(&self) -> bool {
        !self.limits.is_empty()
            && self.limits.iter().all(|requested| requested.policy.is_in_shadow())
    }

    /// Creates the shadow checks of this request. `None` if no policy is in shadow mode or has candidate quotas.
    pub(in crate::guard) fn shadow_checks(&self, operation: Operation) -> Option<ShadowChecks> {
        if !self.has_shadow_limits() {
            return None;
        }
        let shadow_check = |(limit, requested): (usize, &RequestedLimit<'_>)| {
            let (variant, is_reported) = match requested.policy.shadow_mode()? {
                ShadowMode::Whole => (QuotaVariant::Own, true),
                ShadowMode::Candidate(_) => {
                    (requested.variant.other(), requested.variant == QuotaVariant::Own)
                }
            };
            let policy = Policy::clone(&requested.policy);
            let (key, cost) = (requested.key, requested.cost);
            let is_reported = is_reported && operation == Operation::Check;
            Some(ShadowCheck { policy, variant, key, cost, limit, is_reported })
        };
        let checks: Vec<_> = self.limits.iter().enumerate().filter_map(shadow_check).collect();
        Some(ShadowChecks::new(self.guard(), checks, operation))
    }
}

impl RequestedLimit<'_> {
    /// Returns bucket requests for those quotas of the policy that are in shadow mode for this key.
    pub(in crate::guard) fn candidate_requests(&self) -> SmallVec<[BucketRequest<'_>; 1]> {
        let variant = match self.policy.shadow_mode() {
            None => return SmallVec::new(),
            Some(ShadowMode::Whole) => QuotaVariant::Own,
            Some(ShadowMode::Candidate(_)) => self.variant.other(),
        };
        let (name, quotas) = self.policy.quotas_of_variant(variant);
        let bucket = |index| Bucket::new(name.as_str(), index, &self.key);
        quotas
            .iter()
            .enumerate()
            .map(|(index, quota)| BucketRequest::new(bucket(index), *quota, 1))
            .collect()
    }
}

impl RateGuard {
    /// Returns the counts of all policies in [shadow mode](crate::Policy::shadow) and of all
    /// [candidates](crate::Policy::candidate), sorted by the policy names.
    ///
    /// The counts include the requests to this process since the guard was built. A policy is in the list after the
    /// first request for this policy.
    ///
    /// The guard also logs how many requests each policy would have denied. For each policy, it logs at most one
    /// message in 10 seconds.
    #[must_use]
    pub fn shadow_report(&self) -> Vec<ShadowCounts> {
        self.shared.shadow.report.snapshot()
    }
}
