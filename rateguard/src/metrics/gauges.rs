//! How things stand in a guard, as a part of how they stand in the process.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::{Gauge, Label};

use super::{
    Metric,
    kept::{IsNew, Kept},
    names,
};

/// How things stand in a guard.
pub(crate) struct State {
    /// If its store is ours in memory.
    pub(crate) memory_keys: Option<usize>,
    pub(crate) local_keys: usize,
    pub(crate) in_flight: usize,
    pub(crate) remembered: usize,
    pub(crate) open_breakers: usize,
}

pub(super) struct Gauges {
    memory_keys: Part,
    local_keys: Part,
    in_flight: Part,
    remembered: Part,
    open_breakers: Part,
}

impl Gauges {
    pub(super) fn new() -> Self {
        let keys = |store| Part::new(&names::KEYS, vec![Label::from_static_parts("store", store)]);
        Self {
            memory_keys: keys("memory"),
            local_keys: keys("local"),
            in_flight: Part::new(&names::CHECKS_IN_FLIGHT, Vec::new()),
            remembered: Part::new(&names::REMEMBERED_DENIALS, Vec::new()),
            open_breakers: Part::new(&names::BREAKERS_OPEN, Vec::new()),
        }
    }

    pub(super) fn update(&self, state: &State) -> IsNew {
        if let Some(keys) = state.memory_keys {
            self.memory_keys.update(keys);
        }
        self.local_keys.update(state.local_keys);
        self.in_flight.update(state.in_flight);
        self.remembered.update(state.remembered);
        self.open_breakers.update(state.open_breakers)
    }
}

/// What one guard adds to a gauge that is of all.
struct Part {
    sum: Kept<Gauge>,
    told: AtomicU64,
}

impl Part {
    fn new(metric: &Metric, labels: Vec<Label>) -> Self {
        Self { sum: Kept::new(metric, labels), told: AtomicU64::new(0) }
    }

    fn update(&self, part: usize) -> IsNew {
        let part = part as u64;
        self.sum.tell(|sum, is_new| {
            let told = self.told.swap(part, Relaxed);
            // What was told before there was a recorder was told to nobody.
            let told = if is_new { 0 } else { told };
            sum.increment(part as f64 - told as f64);
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(sum) = self.sum.kept() {
            sum.decrement(*self.told.get_mut() as f64);
        }
    }
}
