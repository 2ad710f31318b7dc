//! The cluster slots that migrate from one master to another.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// For this time after an `ASK` or `TRYAGAIN` error, the cluster slot counts as migrating.
const MIGRATION_TTL: Duration = Duration::from_secs(10);

/// The cluster slots that currently migrate. Two nodes serve a migrating slot together, so a missing reply is not the
/// error of only one node.
#[derive(Default)]
pub(super) struct MigratingSlots {
    /// The time of the last `ASK` or `TRYAGAIN` error, by slot.
    slots: Mutex<HashMap<u16, Instant>>,
    /// Whether `slots` may have entries. In the common case there are none, and `contains` needs no lock.
    may_have_slots: AtomicBool,
}

impl MigratingSlots {
    /// Records that a node reported that this cluster slot migrates.
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
        // Each change is a single call that leaves the map consistent, so a poisoned lock is safe to use.
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
