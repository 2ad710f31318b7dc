//! The tracing span that each check records. No field of the span contains a key, because a key may identify a person.

use std::time::Duration;

use tracing::{Span, debug_span, dispatcher::has_been_set, field::Empty};

use super::{labels::OutcomeLabel, mode::DecisionMode};
use crate::{Decision, Policy, StoreError};

/// Creates the span of a check. Its fields have no values yet.
pub(crate) fn check() -> Span {
    // Without a subscriber, each span would write a log message if another crate enables the feature `log` of
    // `tracing`.
    if !has_been_set() {
        return Span::none();
    }
    debug_span!(
        target: "rateguard",
        "rateguard.check",
        policy = Empty,
        quota = Empty,
        outcome = Empty,
        mode = Empty,
        remaining = Empty,
        store_seconds = Empty,
        error = Empty,
    )
}

pub(crate) fn record_decision(span: &Span, decision: &Decision) {
    if span.is_disabled() {
        return;
    }
    span.record("policy", decision.policy());
    span.record("quota", tracing::field::display(decision.quota()));
    span.record("outcome", OutcomeLabel::of(decision).as_str());
    span.record("mode", decision.mode().as_str());
    span.record("remaining", decision.remaining());
}

pub(crate) fn record_unavailable(
    span: &Span,
    policy: &Policy,
    outcome: OutcomeLabel,
    mode: DecisionMode,
    cause: StoreError,
) {
    span.record("policy", policy.name());
    span.record("outcome", outcome.as_str());
    span.record("mode", mode.as_str());
    span.record("error", cause.as_str());
}

/// Records the duration of the check's last store call.
pub(crate) fn record_store_time(span: &Span, elapsed: Duration) {
    span.record("store_seconds", elapsed.as_secs_f64());
}
