//! Defines the tracing span of a check. No field of the span contains a key, because a key may identify a person.

use std::time::Duration;

use tracing::{
    Instrument, Span, debug_span, dispatcher::has_been_set, field::Empty, instrument::Instrumented,
};

use super::{mode::DecisionMode, outcome::OutcomeLabel};
use crate::{Decision, Policy, StoreError};

/// The tracing span of one check.
pub(crate) struct CheckSpan(Span);

impl CheckSpan {
    /// Creates the span of a check. The fields of the span are empty until the check has results.
    pub(crate) fn new() -> Self {
        // If another crate enables the feature `log` of `tracing` and no subscriber is installed, each span would
        // write a log message. So no span is created without a subscriber.
        if !has_been_set() {
            return Self(Span::none());
        }
        Self(debug_span!(
            target: "rateguard",
            "rateguard.check",
            policy = Empty,
            quota = Empty,
            outcome = Empty,
            mode = Empty,
            remaining = Empty,
            store_seconds = Empty,
            error = Empty,
        ))
    }

    /// Makes a future run inside the span.
    pub(crate) fn instrument<F: Future>(&self, future: F) -> Instrumented<F> {
        future.instrument(self.0.clone())
    }

    pub(crate) fn record_decision(&self, decision: &Decision) {
        let Self(span) = self;
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
        &self,
        policy: &Policy,
        outcome: OutcomeLabel,
        mode: DecisionMode,
        cause: StoreError,
    ) {
        let Self(span) = self;
        span.record("policy", policy.name());
        span.record("outcome", outcome.as_str());
        span.record("mode", mode.as_str());
        span.record("error", cause.as_str());
    }
}

/// Records the duration of a store call in the current span. If a check makes several store calls, the duration of
/// the last call overwrites the earlier durations.
pub(crate) fn record_store_time(elapsed: Duration) {
    Span::current().record("store_seconds", elapsed.as_secs_f64());
}

/// Makes a part of the current check run inside the check's span, even if the part runs in a separate task.
pub(crate) fn in_current_span<F: Future>(part: F) -> Instrumented<F> {
    part.in_current_span()
}
