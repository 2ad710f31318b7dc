//! The metrics of a guard without the feature `metrics`: nothing is recorded.

use std::time::Duration;

use super::{mode::DecisionMode, outcome::OutcomeLabel};
use crate::{Quota, StoreError, policy::PolicyName, store::Operation};

/// Stands in for the metrics of a guard.
pub(crate) struct Metrics;

impl Metrics {
    /// Whether metrics are recorded.
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
}
