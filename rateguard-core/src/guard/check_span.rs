//! Reports checks to metrics (feature `metrics`) and traces (feature `tracing`). Without these features, this code
//! compiles to nothing.

#[cfg(any(feature = "metrics", feature = "tracing"))]
use std::time::Instant;
use std::{future::Future, marker::PhantomData};

#[cfg(feature = "tracing")]
use tracing::{Instrument, Span};

use super::{PolicySet, RateGuard, Request, Unavailable};
#[cfg(feature = "metrics")]
use crate::policy::QuotaVariant;
#[cfg(any(feature = "metrics", feature = "tracing"))]
use crate::telemetry::labels::OutcomeLabel;
#[cfg(feature = "tracing")]
use crate::telemetry::spans;
use crate::{Decision, Policy, StoreError, store::Operation};
#[cfg(feature = "metrics")]
use crate::{
    Quota,
    policy::PolicyName,
    telemetry::{metrics::Metrics, mode::DecisionMode},
};

/// A check in progress, with its metrics and its trace span.
pub(super) struct CheckSpan<'a> {
    #[cfg(feature = "metrics")]
    metrics: &'a Metrics,
    #[cfg(feature = "tracing")]
    span: Span,
    guard: PhantomData<&'a RateGuard>,
}

impl CheckSpan<'_> {
    /// Reports the decision.
    pub(super) fn decided(&self, decision: &Decision) {
        #[cfg(not(any(feature = "metrics", feature = "tracing")))]
        let _ = decision;
        #[cfg(feature = "metrics")]
        self.metrics.record_decision(
            decision.policy_name(),
            Some(decision.quota()),
            OutcomeLabel::of(decision),
            decision.mode(),
        );
        #[cfg(feature = "tracing")]
        spans::record_decision(&self.span, decision);
    }

    /// Reports that the store failed to decide on this policy.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    fn undecided(&self, policy: &Policy, unavailable: &Unavailable) {
        let (outcome, mode) = OutcomeLabel::of_unavailable(unavailable);
        #[cfg(feature = "metrics")]
        self.metrics.record_decision(policy.shared_name(), None, outcome, mode);
        #[cfg(feature = "tracing")]
        spans::record_unavailable(&self.span, policy, outcome, mode, unavailable.cause());
    }
}

impl RateGuard {
    /// Starts the report of a check.
    #[inline]
    pub(super) fn start_check(&self) -> CheckSpan<'_> {
        CheckSpan {
            #[cfg(feature = "metrics")]
            metrics: &self.shared.metrics,
            #[cfg(feature = "tracing")]
            span: spans::check(),
            guard: PhantomData,
        }
    }

    /// Reports the decision of a shadow check.
    pub(super) fn record_shadow_decision(
        &self,
        is_check: bool,
        decision: impl FnOnce() -> Option<Decision>,
    ) {
        #[cfg(not(feature = "metrics"))]
        let _ = (is_check, decision);
        #[cfg(feature = "metrics")]
        if is_check && let Some(decision) = decision() {
            let outcome =
                if decision.would_deny() { OutcomeLabel::Denied } else { OutcomeLabel::Allowed };
            let (policy, quota) = (decision.policy_name(), decision.quota());
            self.shared.metrics.record_decision(policy, Some(quota), outcome, DecisionMode::Shadow);
        }
    }

    /// Reports a failed store call.
    pub(super) fn record_store_error(&self, cause: StoreError) {
        #[cfg(not(feature = "metrics"))]
        let _ = cause;
        #[cfg(feature = "metrics")]
        self.shared.metrics.record_store_error(cause);
    }

    /// Reports that a limit uses this policy. The quotas of the policy then have metrics before the first check.
    pub(super) fn register_policy(&self, policy: &Policy, is_fixed: bool) {
        #[cfg(not(feature = "metrics"))]
        let _ = (policy, is_fixed);
        #[cfg(feature = "metrics")]
        if is_fixed {
            quotas_of(policy)
                .for_each(|(name, quota)| self.shared.metrics.register_quota(name, quota));
        }
    }

    /// Reports the current policies of the guard. They replace the policies of the previous report.
    pub(super) fn register_policies(&self, policy_set: &PolicySet) {
        #[cfg(not(feature = "metrics"))]
        let _ = policy_set;
        #[cfg(feature = "metrics")]
        self.shared
            .metrics
            .replace_policies(&policy_set.policies().flat_map(quotas_of).collect::<Vec<_>>());
    }

    /// Runs a store call and reports the duration of the call.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) async fn timed<T>(&self, operation: Operation, call: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let reply = call.await;
        let duration = start.elapsed();
        #[cfg(feature = "metrics")]
        self.shared.metrics.record_store_call(operation, duration);
        #[cfg(not(feature = "metrics"))]
        let _ = operation;
        #[cfg(feature = "tracing")]
        spans::record_store_time(&Span::current(), duration);
        reply
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(super) fn timed<F: Future>(&self, _: Operation, call: F) -> F {
        call
    }
}

/// The quotas of a policy and of its candidate.
#[cfg(feature = "metrics")]
fn quotas_of(policy: &Policy) -> impl Iterator<Item = (&PolicyName, Quota)> {
    let variants = [QuotaVariant::Own, QuotaVariant::Candidate];
    let quotas =
        variants.into_iter().flat_map(|variant| policy.quotas_of_variant(variant).1.iter());
    quotas.map(|quota| (policy.shared_name(), *quota))
}

impl Request<'_> {
    /// Runs a check in a trace span and reports the result. A cancelled check is not reported.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) async fn record_check<T>(
        &self,
        check: impl Future<Output = Result<T, Unavailable>>,
        decision: impl Fn(&T) -> &Decision,
    ) -> Result<T, Unavailable> {
        let span = self.guard().start_check();
        #[cfg(feature = "tracing")]
        let check = check.instrument(span.span.clone());
        let result = check.await;
        match &result {
            Ok(checked) => span.decided(decision(checked)),
            Err(unavailable) => {
                // The first policy whose failure mode was applied, or else the first policy of the request.
                let is_applied =
                    |policy: &&Policy| self.own_on_error(policy) == unavailable.on_error();
                let mut policies = self.limits().map(|requested| requested.policy);
                let policy = policies.clone().find(is_applied).or_else(|| policies.next());
                if let Some(policy) = policy {
                    span.undecided(policy, unavailable);
                }
            }
        }
        result
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(super) fn record_check<T, F>(&self, check: F, _: impl Fn(&T) -> &Decision) -> F
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        check
    }
}

/// Puts a part of the current check, which runs in a separate task, into the trace span of the check.
#[cfg(feature = "tracing")]
pub(super) fn in_check_span<F: Future>(part: F) -> tracing::instrument::Instrumented<F> {
    part.in_current_span()
}

#[cfg(not(feature = "tracing"))]
pub(super) fn in_check_span<F: Future>(part: F) -> F {
    part
}
