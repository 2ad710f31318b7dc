//! Slots that are on their way from one master to another.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// So long after a node said so, a slot is taken to be on its way.
const KEPT: Duration = Duration::from_secs(10);

/// What is on its way is answered by two nodes, or by none: it says nothing about the one that is asked first.
#[derive(Default)]
pub(super) struct Moving {
    /// When a node last said so.
    slots: Mutex<HashMap<u16, Instant>>,
    /// Seldom, so that those who ask need not look.
    is_any: AtomicBool,
}

impl Moving {
    /// A node has said so.
    pub(super) fn record_reply(&self, slot: u16) {
        self.lock().insert(slot, Instant::now());
        self.is_any.store(true, Relaxed);
    }

    pub(super) fn has(&self, slot: u16) -> bool {
        self.is_any.load(Relaxed) && self.has_at(slot, Instant::now())
    }

    fn has_at(&self, slot: u16, now: Instant) -> bool {
        let mut slots = self.lock();
        if slots.get(&slot).is_some_and(|record_reply| now.duration_since(*record_reply) < KEPT) {
            return true;
        }
        slots.retain(|_, record_reply| now.duration_since(*record_reply) < KEPT);
        self.is_any.store(!slots.is_empty(), Relaxed);
        false
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u16, Instant>> {
        // Each change of it is whole.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_on_its_way_for_a_while() {
        let moving = Moving::default();
        assert!(!moving.has(7));
        moving.record_reply(7);
        assert!(moving.has(7) && !moving.has(8));
        assert!(!moving.has_at(7, Instant::now() + KEPT));
        assert!(!moving.is_any.load(Relaxed));
    }
}
