//! Replaces the tracing span of a check if the feature `tracing` is disabled. Then nothing is recorded.

use std::time::Duration;

use super::{mode::DecisionMode, outcome::OutcomeLabel};
use crate::{Decision, Policy, StoreError};

/// Has the same methods as the span of a check, but no data.
pub(crate) struct CheckSpan;

impl CheckSpan {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn instrument<F: Future>(&self, future: F) -> F {
        future
    }

    pub(crate) fn record_decision(&self, _: &Decision) {}

    pub(crate) fn record_unavailable(
        &self,
        _: &Policy,
        _: OutcomeLabel,
        _: DecisionMode,
        _: StoreError,
    ) {
    }
}

pub(crate) fn record_store_time(_: Duration) {}

pub(crate) fn in_current_span<F: Future>(part: F) -> F {
    part
}
