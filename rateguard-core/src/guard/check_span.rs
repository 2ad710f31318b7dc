//! What is told of checks to metrics (feature `metrics`) and traces (feature `tracing`). Without either, nothing of it is left.

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

/// A check that has begun.
pub(super) struct CheckSpan<'a> {
    #[cfg(feature = "metrics")]
    metrics: &'a Metrics,
    #[cfg(feature = "tracing")]
    span: Span,
    guard: PhantomData<&'a RateGuard>,
}

impl CheckSpan<'_> {
    /// Tells what was decided.
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

    /// Tells that nothing was, under this policy.
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

    /// What is not enforced has decided.
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

    /// A question was left unanswered.
    pub(super) fn record_store_error(&self, cause: StoreError) {
        #[cfg(not(feature = "metrics"))]
        let _ = cause;
        #[cfg(feature = "metrics")]
        self.shared.metrics.record_store_error(cause);
    }

    /// A policy is going to be used.
    pub(super) fn register_policy(&self, policy: &Policy, is_fixed: bool) {
        #[cfg(not(feature = "metrics"))]
        let _ = (policy, is_fixed);
        #[cfg(feature = "metrics")]
        if is_fixed {
            quotas_of(policy)
                .for_each(|(name, quota)| self.shared.metrics.register_quota(name, quota));
        }
    }

    /// These policies of the guard are in force now, and those before them no more.
    pub(super) fn register_policies(&self, policy_set: &PolicySet) {
        #[cfg(not(feature = "metrics"))]
        let _ = policy_set;
        #[cfg(feature = "metrics")]
        self.shared
            .metrics
            .replace_policies(&policy_set.policies().flat_map(quotas_of).collect::<Vec<_>>());
    }

    /// Asks a server, and tells how long it took.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) async fn timed<T>(&self, operation: Operation, ask: impl Future<Output = T>) -> T {
        let asked_at = Instant::now();
        let answer = ask.await;
        let took = asked_at.elapsed();
        #[cfg(feature = "metrics")]
        self.shared.metrics.record_store_call(operation, took);
        #[cfg(not(feature = "metrics"))]
        let _ = operation;
        #[cfg(feature = "tracing")]
        spans::record_store_time(&Span::current(), took);
        answer
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(super) fn timed<F: Future>(&self, _: Operation, ask: F) -> F {
        ask
    }
}

/// The quotas of a policy, and of its candidate.
#[cfg(feature = "metrics")]
fn quotas_of(policy: &Policy) -> impl Iterator<Item = (&PolicyName, Quota)> {
    let sides = [QuotaVariant::Own, QuotaVariant::Candidate];
    let quotas = sides.into_iter().flat_map(|side| policy.quotas_of_variant(side).1.iter());
    quotas.map(|quota| (policy.shared_name(), *quota))
}

impl Request<'_> {
    /// Does this check, and tells what comes of it. One that is given up is not told.
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    pub(super) async fn seen<T>(
        &self,
        check: impl Future<Output = Result<T, Unavailable>>,
        decision: impl Fn(&T) -> &Decision,
    ) -> Result<T, Unavailable> {
        let seen = self.guard().start_check();
        #[cfg(feature = "tracing")]
        let check = check.instrument(seen.span.clone());
        let answer = check.await;
        match &answer {
            Ok(answer) => seen.decided(decision(answer)),
            Err(unavailable) => {
                // Whose failure mode it was, if it was one's.
                let is_its = |policy: &&Policy| self.own_on_error(policy) == unavailable.on_error();
                let mut policies = self.limits().map(|asked| asked.policy);
                if let Some(policy) = policies.clone().find(is_its).or_else(|| policies.next()) {
                    seen.undecided(policy, unavailable);
                }
            }
        }
        answer
    }

    #[cfg(not(any(feature = "metrics", feature = "tracing")))]
    pub(super) fn seen<T, F>(&self, check: F, _: impl Fn(&T) -> &Decision) -> F
    where
        F: Future<Output = Result<T, Unavailable>>,
    {
        check
    }
}

/// A part of the check under way, for a task of its own.
#[cfg(feature = "tracing")]
pub(super) fn in_check_span<F: Future>(part: F) -> tracing::instrument::Instrumented<F> {
    part.in_current_span()
}

#[cfg(not(feature = "tracing"))]
pub(super) fn in_check_span<F: Future>(part: F) -> F {
    part
}
