//! Counts the outcomes of shadow checks and logs denials.

use std::sync::atomic::Ordering::Relaxed;

use crate::{Policy, RateGuard, statistics::Counter};

/// The outcome of a shadow check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShadowOutcome {
    Allowed,
    Denied,
    /// The store failed, so there is no decision.
    Undecided,
}

impl RateGuard {
    /// Counts the outcome of one shadow check, and logs denials at a limited rate. A shadow check is a check against
    /// a policy in shadow mode or against candidate quotas.
    pub(super) fn record_shadow_outcome(&self, policy: &Policy, outcome: ShadowOutcome) {
        let counts = self.shared.shadow.report.counts_of(policy.name());
        match outcome {
            ShadowOutcome::Allowed => counts.allowed.fetch_add(1, Relaxed),
            ShadowOutcome::Denied => counts.would_deny.fetch_add(1, Relaxed),
            ShadowOutcome::Undecided => counts.undecided.fetch_add(1, Relaxed),
        };
        // A policy in shadow mode lets every request pass. The requests of a policy with a candidate are counted by its
        // enforced quotas.
        let passed = match outcome {
            _ if !policy.is_in_shadow() => None,
            ShadowOutcome::Undecided => Some(Counter::UndecidedPassed),
            ShadowOutcome::Allowed | ShadowOutcome::Denied => Some(Counter::Allowed),
        };
        let would_deny = (outcome == ShadowOutcome::Denied).then_some(Counter::WouldDeny);
        for counter in passed.into_iter().chain(would_deny) {
            let statistics = &self.shared.statistics;
            statistics.record(policy.shared_name(), counter, || self.monotonic_time());
        }
        if outcome == ShadowOutcome::Denied
            && let Some(denied) = counts.denial_log.try_emit()
        {
            let decided = counts.allowed.load(Relaxed) + counts.would_deny.load(Relaxed);
            let before = counts.decided_at_last_log.swap(decided, Relaxed);
            log::info!(
                target: "rateguard",
                "`{}` in shadow would have denied {denied} of {} requests since the last message of this kind",
                policy.name(), decided.saturating_sub(before)
            );
        }
    }
}
