//! What metrics tell of a guard's state, when they are asked for.

use super::{RateGuard, Shared};
use crate::telemetry::metrics::GaugeValues;

impl RateGuard {
    /// Tells the metrics how things stand at this moment: keys held, checks under way, denials remembered, open circuit
    /// breakers, and the quotas that are in force by now; of one that no longer is, they tell 0 once. Call it where the metrics are rendered, before they are; else there are none of those.
    ///
    /// Of several guards in a process, each has to be asked; the metrics are the sums. What a guard has told goes with it.
    pub fn update_gauges(&self) {
        // A file may have brought others.
        self.register_policies(&self.policy_set());
        let Shared { store, servers, in_flight, remembered, local, metrics, .. } = &*self.shared;
        metrics.update(GaugeValues {
            memory_keys: store.as_memory().map(|memory| memory.keys()),
            local_keys: local.keys(),
            in_flight: in_flight.count(),
            cached_denials: remembered.held(),
            open_breakers: servers.asked().filter(|server| server.breaker.is_open()).count(),
        });
    }
}
