//! Gauges are metrics of a guard's current state. The program calls `update_gauges` before it reads the gauges.

use super::{RateGuard, Shared};
use crate::{store::InProcess, telemetry::metrics::GaugeValues};

impl RateGuard {
    /// Updates the gauges: keys in memory, checks in progress, cached denials, permits, units of leases, waiting
    /// requests, connections to Redis, open circuit breakers and current quotas. If a changed policies file no longer contains a quota, this
    /// method sets the gauge of the quota to 0 once.
    ///
    /// Call this method each time before you render the metrics. Without this call, the gauges are missing or outdated.
    ///
    /// If a process has several guards, call this method on each guard, because each gauge is the sum of the values of
    /// all guards. When a guard is dropped, its values are subtracted from the sums.
    pub fn update_gauges(&self) {
        // The policies file may have changed since the last update.
        self.register_policies(&self.policy_set());
        let Shared {
            store,
            servers,
            in_flight,
            denial_cache,
            local,
            permits,
            leases,
            wait_queues,
            metrics,
            ..
        } = &*self.shared;
        metrics.update(GaugeValues {
            memory_keys: store.in_process().map(|memory| memory.keys()),
            local_keys: InProcess::keys(&local.store),
            in_flight: in_flight.count(),
            cached_denials: denial_cache.len(),
            redis_connections: store.connections(),
            permits_held: permits.held(),
            permits_waiting: permits.waiting(),
            leased_units: leases.unused_units(),
            requests_waiting: wait_queues.len(),
            permits_renewed: permits.take_renewed(),
            permits_expired: permits.take_expired(),
            open_breakers: servers.used().filter(|server| server.breaker.is_open()).count(),
        });
    }
}
