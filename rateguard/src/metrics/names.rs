//! The names of all metrics, with their labels, units and help texts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What is counted or measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, as Prometheus has it.
    pub name: &'static str,
    /// Whether it is a counter, a gauge or a histogram.
    pub kind: MetricKind,
    /// The unit.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// How a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// It counts values in buckets.
    Histogram,
}

impl Metric {
    pub(super) fn describe(&self) {
        let Self { name, unit, help, .. } = *self;
        match self.kind {
            MetricKind::Counter => describe_counter!(name, unit, help),
            MetricKind::Gauge => describe_gauge!(name, unit, help),
            MetricKind::Histogram => describe_histogram!(name, unit, help),
        }
    }
}

pub(super) const DECISIONS: Metric = Metric {
    name: "rateguard_decisions_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &["policy", "quota", "outcome", "mode"],
    help: "Checks, by the quota that decided: of a denial the one that denied, else the tightest.",
};

pub(super) const STORE_DURATION: Metric = Metric {
    name: "rateguard_store_duration_seconds",
    kind: MetricKind::Histogram,
    unit: Unit::Seconds,
    labels: &["operation"],
    help: "How long a store that answers later, such as Redis, was waited for, also in vain.",
};

pub(super) const STORE_ERRORS: Metric = Metric {
    name: "rateguard_store_errors_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &["error"],
    help: "Questions that the store left unanswered, or that were kept from it, by the reason.",
};

pub(super) const BREAKERS_OPEN: Metric = Metric {
    name: "rateguard_breakers_open",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Servers of the store that checks are kept from, as they did not answer.",
};

pub(super) const CHECKS_IN_FLIGHT: Metric = Metric {
    name: "rateguard_checks_in_flight",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Questions that wait for the store's answer.",
};

pub(super) const KEYS: Metric = Metric {
    name: "rateguard_memory_keys",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &["store"],
    help: "Keys and quotas whose counts are in this process: as the store, or for when it does not answer.",
};

pub(super) const REMEMBERED_DENIALS: Metric = Metric {
    name: "rateguard_remembered_denials",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Denials that this process remembers, so that it need not ask for them again.",
};

pub(super) const QUOTA_LIMIT: Metric = Metric {
    name: "rateguard_quota_limit",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &["policy", "quota"],
    help: "How many units a quota admits in its window, or 0 if it is no longer in force.",
};

pub(super) const QUOTA_WINDOW: Metric = Metric {
    name: "rateguard_quota_window_seconds",
    kind: MetricKind::Gauge,
    unit: Unit::Seconds,
    labels: &["policy", "quota"],
    help: "How long the window of a quota is, or 0 if it is no longer in force.",
};

/// All metrics.
pub const ALL: [Metric; 9] = [
    DECISIONS,
    STORE_DURATION,
    STORE_ERRORS,
    BREAKERS_OPEN,
    CHECKS_IN_FLIGHT,
    KEYS,
    REMEMBERED_DENIALS,
    QUOTA_LIMIT,
    QUOTA_WINDOW,
];

/// The metric that is a histogram, for exporters that have to be told its buckets.
pub const STORE_DURATION_SECONDS: &str = STORE_DURATION.name;

/// Buckets for it, in seconds: from a Redis on the same machine to the longest deadline that makes sense for a request.
pub const STORE_DURATION_BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
