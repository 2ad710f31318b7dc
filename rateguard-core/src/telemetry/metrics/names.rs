//! Defines all metrics: their names, labels, units of measurement and help texts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// The definition of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name of the metric in the recorder, in the notation of Prometheus.
    pub name: &'static str,
    /// Whether the metric is a counter, a gauge or a histogram.
    pub kind: MetricKind,
    /// The unit of measurement of the metric's values.
    pub unit: Unit,
    /// The names of the metric's labels.
    pub labels: &'static [&'static str],
    /// The help text of the metric in the recorder.
    pub help: &'static str,
}

/// The kind of a metric: counter, gauge or histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// A metric whose value only increases.
    Counter,
    /// A metric whose value increases and decreases.
    Gauge,
    /// A metric that counts how many values are in each of several ranges.
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
    help: "Completed checks. The label quota names the quota that denied the request or, after an admission, the tightest quota.",
};

pub(super) const STORE_DURATION: Metric = Metric {
    name: "rateguard_store_duration_seconds",
    kind: MetricKind::Histogram,
    unit: Unit::Seconds,
    labels: &["operation"],
    help: "Duration of calls to a remote store such as Redis, including calls without a reply.",
};

pub(super) const STORE_ERRORS: Metric = Metric {
    name: "rateguard_store_errors_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &["error"],
    help: "Operations that the store did not answer, or that the guard did not send to the store. The label error names the reason.",
};

pub(super) const REDIS_CONNECTIONS: Metric = Metric {
    name: "rateguard_redis_connections",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Open connections to Redis: one for each server, and one more for each worker that has sent a check.",
};

pub(super) const BREAKERS_OPEN: Metric = Metric {
    name: "rateguard_breakers_open",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Servers of the store whose circuit breaker is open because the server did not answer.",
};

pub(super) const CHECKS_IN_FLIGHT: Metric = Metric {
    name: "rateguard_checks_in_flight",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Operations that wait for a reply of the store.",
};

pub(super) const KEYS: Metric = Metric {
    name: "rateguard_memory_keys",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &["store"],
    help: "Buckets in the memory of this process: the buckets of the in-memory store, or the buckets for decisions that the process makes while the store does not answer.",
};

pub(super) const CACHED_DENIALS: Metric = Metric {
    name: "rateguard_cached_denials",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Denials in the denial cache. The guard repeats these denials without a call to the store.",
};

pub(super) const PERMITS_HELD: Metric = Metric {
    name: "rateguard_permits_held",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Permits that requests in progress of this process hold.",
};

pub(super) const PERMITS_WAITING: Metric = Metric {
    name: "rateguard_permits_waiting",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Requests of this process that wait for a permit.",
};

pub(super) const PERMITS_RENEWED: Metric = Metric {
    name: "rateguard_permits_renewed_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Renewals of permits in the store.",
};

pub(super) const PERMITS_EXPIRED: Metric = Metric {
    name: "rateguard_permits_expired_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &[],
    help: "Permits whose lease ended before their request, because the process was paused or the store did not answer.",
};

pub(super) const LEASED_UNITS: Metric = Metric {
    name: "rateguard_leased_units",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Unused units of leases that this process holds.",
};

pub(super) const REQUESTS_WAITING: Metric = Metric {
    name: "rateguard_requests_waiting",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &[],
    help: "Requests of this process that wait for room instead of being denied.",
};

pub(super) const WAITS: Metric = Metric {
    name: "rateguard_waits_total",
    kind: MetricKind::Counter,
    unit: Unit::Count,
    labels: &["outcome"],
    help: "Requests that have waited for room. The label outcome names the result after the wait.",
};

pub(super) const QUOTA_LIMIT: Metric = Metric {
    name: "rateguard_quota_limit",
    kind: MetricKind::Gauge,
    unit: Unit::Count,
    labels: &["policy", "quota"],
    help: "Units that a quota admits in its window, or 0 if the quota is no longer in effect.",
};

pub(super) const QUOTA_WINDOW: Metric = Metric {
    name: "rateguard_quota_window_seconds",
    kind: MetricKind::Gauge,
    unit: Unit::Seconds,
    labels: &["policy", "quota"],
    help: "Length of the window of a quota, or 0 if the quota is no longer in effect.",
};

/// The definitions of all metrics.
pub const ALL: [Metric; 17] = [
    DECISIONS,
    STORE_DURATION,
    STORE_ERRORS,
    BREAKERS_OPEN,
    REDIS_CONNECTIONS,
    CHECKS_IN_FLIGHT,
    KEYS,
    CACHED_DENIALS,
    PERMITS_HELD,
    PERMITS_WAITING,
    PERMITS_RENEWED,
    PERMITS_EXPIRED,
    LEASED_UNITS,
    REQUESTS_WAITING,
    WAITS,
    QUOTA_LIMIT,
    QUOTA_WINDOW,
];

/// The name of the only metric that is a histogram. Some exporters need this name to set the buckets of the
/// histogram.
pub const STORE_DURATION_SECONDS: &str = STORE_DURATION.name;

/// The recommended upper bounds of the histogram buckets, in seconds. The bounds range from 0.1 ms (Redis on the same
/// machine) to 1 s (a very long deadline).
pub const STORE_DURATION_BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
