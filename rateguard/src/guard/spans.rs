//! The span of a check: what it is called, and what is in it. No key is.

use std::time::Duration;

use tracing::{Span, debug_span, dispatcher::has_been_set, field::Empty};

use crate::{Decision, Policy, StoreError, mode::Mode, words::Outcome};

/// Of which nothing is known yet.
pub(super) fn check() -> Span {
    // With its feature `log`, as actix-web has it, `tracing` would write a line for each check then.
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

pub(super) fn decided(span: &Span, decision: &Decision) {
    if span.is_disabled() {
        return;
    }
    span.record("policy", decision.policy());
    span.record("quota", tracing::field::display(decision.quota()));
    span.record("outcome", Outcome::of(decision).word());
    span.record("mode", decision.mode().word());
    span.record("remaining", decision.remaining());
}

pub(super) fn undecided(
    span: &Span,
    policy: &Policy,
    outcome: Outcome,
    mode: Mode,
    cause: StoreError,
) {
    span.record("policy", policy.name());
    span.record("outcome", outcome.word());
    span.record("mode", mode.word());
    span.record("error", cause.word());
}

/// How long the store took that was asked last.
pub(super) fn asked(span: &Span, took: Duration) {
    span.record("store_seconds", took.as_secs_f64());
}
