//! Records the cluster slots that migrate from one master to another master.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The time for which a cluster slot counts as migrating after an `ASK` or `TRYAGAIN` error.
const MIGRATION_TTL: Duration = Duration::from_secs(10);

/// The cluster slots that currently migrate. Two nodes serve a migrating slot together. If a reply is missing, it is
/// therefore unclear which of the two nodes has failed.
#[derive(Default)]
pub(super) struct MigratingSlots {
    /// For each slot, the time of the last `ASK` or `TRYAGAIN` error.
    slots: Mutex<HashMap<u16, Instant>>,
    /// True if `slots` may have entries. In most cases there are no entries, and `contains` does not need the lock.
    may_have_slots: AtomicBool,
}

impl MigratingSlots {
    /// Marks this cluster slot as migrating, because a node has reported it.
    pub(super) fn record(&self, slot: u16) {
        self.lock().insert(slot, Instant::now());
        self.may_have_slots.store(true, Relaxed);
    }

    pub(super) fn contains(&self, slot: u16) -> bool {
        self.may_have_slots.load(Relaxed) && self.contains_at(slot, Instant::now())
    }

    fn contains_at(&self, slot: u16, now: Instant) -> bool {
        let mut slots = self.lock();
        let is_recent = |reported_at: &Instant| now.duration_since(*reported_at) < MIGRATION_TTL;
        if slots.get(&slot).is_some_and(is_recent) {
            return true;
        }
        slots.retain(|_, reported_at| is_recent(reported_at));
        self.may_have_slots.store(!slots.is_empty(), Relaxed);
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, Instant>> {
        // Each change is a single call that leaves the map consistent, so it is safe to use a poisoned lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_slot_counts_as_migrating_for_the_ttl() {
        let migrating = MigratingSlots::default();
        assert!(!migrating.contains(7));
        migrating.record(7);
        assert!(migrating.contains(7) && !migrating.contains(8));
        assert!(!migrating.contains_at(7, Instant::now() + MIGRATION_TTL));
        assert!(!migrating.may_have_slots.load(Relaxed));
    }
}
