//! A hash table with a fixed number of slots whose entries are never removed, so a lookup needs no lock.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of slots in a table. A table with at most [`MAX_ENTRIES`] entries uses fewer than half of them, so a
/// lookup reads one or two slots on average.
const SLOTS: usize = 512;

/// The maximum number of entries in a table.
pub(crate) const MAX_ENTRIES: usize = 200;

/// A hash table with linear probing. It has at most [`MAX_ENTRIES`] entries, and they are never removed.
pub(crate) struct InsertOnlyTable<T> {
    slots: Box<[OnceLock<Box<T>>]>,
    len: AtomicUsize,
    insert_lock: Mutex<()>,
}

impl<T> InsertOnlyTable<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            len: AtomicUsize::new(0),
            insert_lock: Mutex::new(()),
        }
    }

    /// Returns the entry for which `is_entry` returns true. If there is none, inserts the result of `create`, or returns
    /// `None` if the table is full. `hash` must be the same for all calls for one entry.
    pub(crate) fn get_or_insert(
        &self,
        hash: u64,
        is_entry: impl Fn(&T) -> bool,
        create: impl Fn() -> T,
    ) -> Option<&T> {
        let mut slot = (hash >> 48) as usize % SLOTS;
        while let Some(entry) = self.slots[slot].get() {
            if is_entry(entry) {
                return Some(entry);
            }
            slot = (slot + 1) % SLOTS;
        }
        self.insert(slot, is_entry, create)
    }

    #[cold]
    fn insert(
        &self,
        mut slot: usize,
        is_entry: impl Fn(&T) -> bool,
        create: impl Fn() -> T,
    ) -> Option<&T> {
        if self.len.load(Relaxed) >= MAX_ENTRIES {
            return None;
        }
        let _guard = self.insert_lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.len.load(Relaxed) >= MAX_ENTRIES {
            return None;
        }
        loop {
            let entry = self.slots[slot].get_or_init(|| {
                self.len.fetch_add(1, Relaxed);
                Box::new(create())
            });
            // Another thread may have filled this slot before this thread got the lock for insertions.
            if is_entry(entry) {
                return Some(entry);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.slots.iter().filter_map(OnceLock::get).map(Box::as_ref)
    }
}
