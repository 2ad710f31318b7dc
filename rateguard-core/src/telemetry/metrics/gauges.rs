//! Updates the gauges of a guard. Each gauge reports the sum over all guards of the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Gauge, Label};

use super::{
    Metric,
    lazy_handle::{IsNew, LazyHandle},
    names,
};

/// The current values for the gauges of a guard.
pub(crate) struct GaugeValues {
    /// The number of keys in the in-memory store; `None` if the guard does not use the in-memory store of this
    /// crate.
    pub(crate) memory_keys: Option<usize>,
    pub(crate) local_keys: usize,
    pub(crate) in_flight: usize,
    pub(crate) cached_denials: usize,
    /// The number of open connections to Redis; `None` if the store does not count its connections.
    pub(crate) redis_connections: Option<usize>,
    pub(crate) open_breakers: usize,
    pub(crate) permits_held: usize,
    pub(crate) permits_waiting: usize,
    /// The number of unused units of leases.
    pub(crate) leased_units: usize,
    pub(crate) requests_waiting: usize,
    /// The number of renewals of permits since the last update.
    pub(crate) permits_renewed: u64,
    /// The number of permits that have expired since the last update.
    pub(crate) permits_expired: u64,
}

pub(super) struct Gauges {
    memory_keys: GuardGauge,
    local_keys: GuardGauge,
    in_flight: GuardGauge,
    cached_denials: GuardGauge,
    redis_connections: GuardGauge,
    open_breakers: GuardGauge,
    permits_held: GuardGauge,
    permits_waiting: GuardGauge,
    leased_units: GuardGauge,
    requests_waiting: GuardGauge,
}

impl Gauges {
    pub(super) fn new() -> Self {
        let keys =
            |store| GuardGauge::new(&names::KEYS, vec![Label::from_static_parts("store", store)]);
        Self {
            memory_keys: keys("memory"),
            local_keys: keys("local"),
            in_flight: GuardGauge::new(&names::CHECKS_IN_FLIGHT, Vec::new()),
            cached_denials: GuardGauge::new(&names::CACHED_DENIALS, Vec::new()),
            redis_connections: GuardGauge::new(&names::REDIS_CONNECTIONS, Vec::new()),
            open_breakers: GuardGauge::new(&names::BREAKERS_OPEN, Vec::new()),
            permits_held: GuardGauge::new(&names::PERMITS_HELD, Vec::new()),
            permits_waiting: GuardGauge::new(&names::PERMITS_WAITING, Vec::new()),
            leased_units: GuardGauge::new(&names::LEASED_UNITS, Vec::new()),
            requests_waiting: GuardGauge::new(&names::REQUESTS_WAITING, Vec::new()),
        }
    }

    pub(super) fn update(&self, values: &GaugeValues) -> IsNew {
        if let Some(keys) = values.memory_keys {
            self.memory_keys.update(keys);
        }
        if let Some(connections) = values.redis_connections {
            self.redis_connections.update(connections);
        }
        self.local_keys.update(values.local_keys);
        self.in_flight.update(values.in_flight);
        self.cached_denials.update(values.cached_denials);
        self.permits_held.update(values.permits_held);
        self.permits_waiting.update(values.permits_waiting);
        self.leased_units.update(values.leased_units);
        self.requests_waiting.update(values.requests_waiting);
        self.open_breakers.update(values.open_breakers)
    }
}

/// The value of one guard in a gauge that all guards of the process share.
struct GuardGauge {
    sum: LazyHandle<Gauge>,
    /// The value that this guard has added to the gauge. When the guard is dropped, this value is subtracted from
    /// the gauge.
    reported: AtomicU64,
}

impl GuardGauge {
    fn new(metric: &Metric, labels: Vec<Label>) -> Self {
        Self { sum: LazyHandle::new(metric, labels), reported: AtomicU64::new(0) }
    }

    fn update(&self, value: usize) -> IsNew {
        let value = value as u64;
        self.sum.with_handle(|sum, is_new| {
            let before = self.reported.swap(value, Relaxed);
            // A gauge whose handle is new does not contain the earlier value of this guard, so nothing is
            // subtracted.
            let before = if is_new { 0 } else { before };
            sum.increment(value as f64 - before as f64);
        })
    }
}

impl Drop for GuardGauge {
    fn drop(&mut self) {
        if let Some(sum) = self.sum.get() {
            sum.decrement(*self.reported.get_mut() as f64);
        }
    }
}
