//! Records the metrics of one guard.

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use metrics::{Counter, Histogram, Label};

use super::{
    gauges::{GaugeValues, Gauges},
    lazy_handle::{IsNew, LazyHandle},
    names,
    series::{QuotaSeries, SeriesTable},
};
use crate::{
    Quota, StoreError,
    policy::PolicyName,
    store::Operation,
    telemetry::{mode::DecisionMode, outcome::OutcomeLabel},
};

pub(crate) struct Metrics {
    series: SeriesTable,
    /// The counters of store errors. The index of a counter is [`StoreError::index`].
    errors: [OnceLock<LazyHandle<Counter>>; StoreError::ALL.len()],
    /// The histograms of store calls. The index of a histogram is the discriminant of the operation.
    durations: [OnceLock<LazyHandle<Histogram>>; Operation::ALL.len()],
    /// The counters of waits. The index of a counter is the discriminant of the outcome.
    waits: [OnceLock<LazyHandle<Counter>>; OutcomeLabel::ALL.len()],
    permits_renewed: LazyHandle<Counter>,
    permits_expired: LazyHandle<Counter>,
    gauges: Gauges,
    described: Once,
}

impl Metrics {
    /// Whether this build records metrics.
    pub(crate) const IS_ENABLED: bool = true;

    pub(crate) fn new() -> Self {
        Self {
            series: SeriesTable::new(),
            errors: [const { OnceLock::new() }; StoreError::ALL.len()],
            durations: [const { OnceLock::new() }; Operation::ALL.len()],
            waits: [const { OnceLock::new() }; OutcomeLabel::ALL.len()],
            permits_renewed: LazyHandle::new(&names::PERMITS_RENEWED, Vec::new()),
            permits_expired: LazyHandle::new(&names::PERMITS_EXPIRED, Vec::new()),
            gauges: Gauges::new(),
            described: Once::new(),
        }
    }

    /// Sets the gauges of these quotas, so that dashboards show the quotas before their first checks.
    pub(crate) fn register_quotas<'a>(
        &self,
        quotas: impl Iterator<Item = (&'a PolicyName, Quota)>,
    ) {
        quotas.for_each(|(policy, quota)| self.series.of(policy, Some(quota)).publish_quota());
    }

    /// Sets the gauges for the current quotas of the guard's policies. The gauges of a removed quota become 0, so a
    /// dashboard shows that the quota no longer applies.
    pub(crate) fn replace_policies<'a>(
        &self,
        quotas: impl Iterator<Item = (&'a PolicyName, Quota)>,
    ) {
        let quotas: Vec<_> = quotas.collect();
        quotas.iter().for_each(|(policy, quota)| self.series.of(policy, Some(*quota)).activate());
        let is_active = |series: &QuotaSeries| {
            quotas.iter().any(|(policy, quota)| series.is(policy, Some(*quota)))
        };
        self.series.iter().filter(|series| !is_active(series)).for_each(QuotaSeries::retire);
    }

    /// Counts a completed check.
    pub(crate) fn record_decision(
        &self,
        policy: &PolicyName,
        quota: Option<Quota>,
        outcome: OutcomeLabel,
        mode: DecisionMode,
    ) {
        let series = self.series.of(policy, quota);
        if series.record_decision(outcome, mode) {
            series.publish_quota();
            self.describe(true);
        }
    }

    /// Adds the duration of a store call to the histogram for this operation.
    pub(crate) fn record_store_call(&self, operation: Operation, elapsed: Duration) {
        let duration = self.durations[operation as usize].get_or_init(|| {
            let label = Label::from_static_parts("operation", operation.as_str());
            LazyHandle::new(&names::STORE_DURATION, vec![label])
        });
        self.describe(duration.with_handle(|duration, _| duration.record(elapsed.as_secs_f64())));
    }

    /// Counts an operation for which the store returned no result.
    pub(crate) fn record_store_error(&self, cause: StoreError) {
        let errors = self.errors[cause.index()].get_or_init(|| {
            let label = Label::from_static_parts("error", cause.as_str());
            LazyHandle::new(&names::STORE_ERRORS, vec![label])
        });
        self.describe(errors.with_handle(|errors, _| errors.increment(1)));
    }

    /// Counts a request that has waited for room.
    pub(crate) fn record_wait(&self, outcome: OutcomeLabel) {
        let waits = self.waits[outcome as usize].get_or_init(|| {
            let label = Label::from_static_parts("outcome", outcome.as_str());
            LazyHandle::new(&names::WAITS, vec![label])
        });
        self.describe(waits.with_handle(|waits, _| waits.increment(1)));
    }

    /// Sets all gauges of the guard to these values, and adds to the counters that are not updated by the checks.
    pub(crate) fn update(&self, values: GaugeValues) {
        self.series.iter().for_each(QuotaSeries::publish_quota);
        for (counter, count) in [
            (&self.permits_renewed, values.permits_renewed),
            (&self.permits_expired, values.permits_expired),
        ] {
            self.describe(counter.with_handle(|counter, _| counter.increment(count)));
        }
        self.describe(self.gauges.update(&values));
    }

    /// Sends the descriptions of all metrics to the recorder once, after the first handle is registered.
    fn describe(&self, is_new: IsNew) {
        if is_new {
            self.described.call_once(|| names::ALL.iter().for_each(names::Metric::describe));
        }
    }
}
