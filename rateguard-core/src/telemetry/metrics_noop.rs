//! Replaces the metrics of a guard if the feature `metrics` is disabled. Then nothing is recorded.

use std::time::Duration;

use super::{mode::DecisionMode, outcome::OutcomeLabel};
use crate::{Quota, StoreError, policy::PolicyName, store::Operation};

/// Has the same methods as the metrics of a guard, but no data.
pub(crate) struct Metrics;

impl Metrics {
    /// Whether this build records metrics.
    pub(crate) const IS_ENABLED: bool = false;

    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn register_quotas<'a>(&self, _: impl Iterator<Item = (&'a PolicyName, Quota)>) {}

    pub(crate) fn replace_policies<'a>(&self, _: impl Iterator<Item = (&'a PolicyName, Quota)>) {}

    pub(crate) fn record_decision(
        &self,
        _: &PolicyName,
        _: Option<Quota>,
        _: OutcomeLabel,
        _: DecisionMode,
    ) {
    }

    pub(crate) fn record_store_call(&self, _: Operation, _: Duration) {}

    pub(crate) fn record_store_error(&self, _: StoreError) {}

    pub(crate) fn record_wait(&self, _: OutcomeLabel) {}
}
