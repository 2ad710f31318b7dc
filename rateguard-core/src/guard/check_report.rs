//! Reports the results of checks to metrics, traces and statistics. Without the features `metrics`, `tracing` and
//! `statistics`, these functions report nothing.

use super::{PolicySet, RateGuard, Request, Shared, Unavailable, requested_limit::RequestedLimit};
use crate::{
    Decision, Key, Policy, Quota, StoreError,
    policy::{PolicyName, QuotaVariant},
    statistics::Counter,
    store::Operation,
    telemetry::{
        futures,
        metrics::Metrics,
        mode::DecisionMode,
        outcome::OutcomeLabel,
        spans::{self, CheckSpan},
    },
};

/// Reports the result of one check to the metrics and to the trace span of the check.
pub(super) struct CheckReport<'a> {
    guard: &'a RateGuard,
    span: CheckSpan,
}

impl CheckReport<'_> {
    /// Reports the decision of the check. `key` returns the hashed key of the deciding limit.
    pub(super) fn decided<'k>(&self, decision: &Decision, key: impl FnOnce() -> Option<&'k Key>) {
        let Shared { metrics, statistics, .. } = &*self.guard.shared;
        metrics.record_decision(
            decision.policy_name(),
            Some(decision.quota()),
            OutcomeLabel::of(decision),
            decision.mode(),
        );
        statistics.record_decision(decision, key, || self.guard.monotonic_time());
        self.span.record_decision(decision);
    }

    /// Reports that there is no decision for this policy, because the store failed.
    fn undecided(&self, policy: &Policy, unavailable: &Unavailable) {
        let (outcome, mode) = OutcomeLabel::of_unavailable(unavailable);
        let Shared { metrics, statistics, .. } = &*self.guard.shared;
        metrics.record_decision(policy.shared_name(), None, outcome, mode);
        let counter = match outcome {
            OutcomeLabel::Allowed => Counter::UndecidedPassed,
            _ => Counter::Rejected,
        };
        statistics.record(policy.shared_name(), counter, || self.guard.monotonic_time());
        self.span.record_unavailable(policy, outcome, mode, unavailable.cause());
    }
}

impl RateGuard {
    /// Starts the report of a check.
    #[inline]
    pub(super) fn start_check(&self) -> CheckReport<'_> {
        CheckReport { guard: self, span: CheckSpan::new() }
    }

    /// Runs a check of one policy in a trace span, and reports the result of the check. A cancelled check is not
    /// reported.
    pub(super) fn report_single_check(
        &self,
        policy: &Policy,
        key: &Key,
        check: impl Future<Output = Result<Decision, Unavailable>>,
    ) -> impl Future<Output = Result<Decision, Unavailable>> {
        let report = self.start_check();
        futures::observe(report.span.instrument(check), move |result| match result {
            Ok(decision) => report.decided(decision, || Some(key)),
            Err(unavailable) => report.undecided(policy, unavailable),
        })
    }

    /// Reports the decision of a shadow check.
    pub(super) fn record_shadow_decision(
        &self,
        is_check: bool,
        decision: impl FnOnce() -> Option<Decision>,
    ) {
        if Metrics::IS_ENABLED
            && is_check
            && let Some(decision) = decision()
        {
            let outcome =
                if decision.would_deny() { OutcomeLabel::Denied } else { OutcomeLabel::Allowed };
            let (policy, quota) = (decision.policy_name(), decision.quota());
            self.shared.metrics.record_decision(policy, Some(quota), outcome, DecisionMode::Shadow);
        }
    }

    /// Reports a request that has waited for room in a limit of this policy.
    pub(super) fn record_wait(&self, policy: &PolicyName, outcome: OutcomeLabel) {
        self.shared.metrics.record_wait(outcome);
        self.shared.statistics.record(policy, Counter::Waited, || self.monotonic_time());
    }

    /// Reports a failed store call.
    pub(super) fn record_store_error(&self, cause: StoreError) {
        self.shared.metrics.record_store_error(cause);
    }

    /// Reports that a limit uses this policy, so that the quotas of the policy have metrics even before the first
    /// check.
    pub(super) fn register_policy(&self, policy: &Policy, is_fixed: bool) {
        if is_fixed {
            self.shared.metrics.register_quotas(quotas_of(policy));
        }
    }

    /// Reports the current policies of the guard. They replace the policies of the previous report.
    pub(super) fn register_policies(&self, policy_set: &PolicySet) {
        self.shared.metrics.replace_policies(policy_set.policies().flat_map(quotas_of));
    }

    /// Runs a store call and reports the duration of the call.
    pub(super) fn timed<F: Future>(
        &self,
        operation: Operation,
        call: F,
    ) -> impl Future<Output = F::Output> {
        let statistics = &self.shared.statistics;
        let is_needed = futures::ARE_TIMES_REPORTED || statistics.is_enabled();
        futures::timed(is_needed, call, move |duration| {
            self.shared.metrics.record_store_call(operation, duration);
            statistics.record_store_call(duration, || self.monotonic_time());
            spans::record_store_time(duration);
        })
    }
}

/// Returns the policy's own quotas and its candidate quotas, each quota with the name of the policy.
fn quotas_of(policy: &Policy) -> impl Iterator<Item = (&PolicyName, Quota)> {
    let variants = [QuotaVariant::Own, QuotaVariant::Candidate];
    let quotas =
        variants.into_iter().flat_map(|variant| policy.quotas_of_variant(variant).1.iter());
    quotas.map(|quota| (policy.shared_name(), *quota))
}

impl Request<'_> {
    /// Runs a check in a trace span, and reports the result of the check. A cancelled check is not reported.
    pub(super) fn record_check<T>(
        &self,
        check: impl Future<Output = Result<T, Unavailable>>,
        decision: impl Fn(&T) -> &Decision,
    ) -> impl Future<Output = Result<T, Unavailable>> {
        let report = self.guard().start_check();
        futures::observe(report.span.instrument(check), move |result| match result {
            Ok(checked) => {
                let decision = decision(checked);
                report.decided(decision, || {
                    let is_deciding = |it: &&RequestedLimit<'_>| {
                        it.policy.shared_name() == decision.policy_name()
                    };
                    self.limits().find(is_deciding).map(|requested| &requested.key)
                });
            }
            Err(unavailable) => {
                // The report names the first policy whose failure mode was applied. If no policy has this failure
                // mode, the report names the first policy of the request.
                let is_applied =
                    |policy: &&Policy| self.own_on_error(policy) == unavailable.on_error();
                let mut policies = self.limits().map(|requested| &*requested.policy);
                let policy = policies.clone().find(is_applied).or_else(|| policies.next());
                if let Some(policy) = policy {
                    report.undecided(policy, unavailable);
                }
            }
        })
    }
}
