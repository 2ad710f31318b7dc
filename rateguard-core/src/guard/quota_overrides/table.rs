//! The overrides that are in effect in this process.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use smallvec::SmallVec;
use tokio::sync::Mutex;

use super::document::{Digest, StoredOverride};
use crate::{Key, Quotas, store::DocumentVersion};

/// The overrides that are in effect in this process. The times are on the clock of this process.
pub(in crate::guard) struct OverrideTable {
    pub(super) is_enabled: bool,
    /// Whether `active` has overrides. Checks read this flag first, so that they need no lock without overrides.
    has_any: AtomicBool,
    active: RwLock<Arc<ActiveOverrides>>,
    /// Held during an operation on the document, so that the result of an earlier operation cannot replace that of a
    /// later one.
    pub(super) document: Mutex<LastDocument>,
    /// The start of the clock of this process.
    start: Instant,
}

/// The document as this process has read or written it last.
#[derive(Default)]
pub(super) struct LastDocument {
    /// The version. `None` if the next read must return the document, whatever its version is.
    pub(super) version: Option<DocumentVersion>,
    /// The time of the last read that returned the document, on the clock of this process.
    pub(super) read_at: Duration,
    /// The same time on the clock of the store.
    pub(super) store_time: Duration,
    /// The latest version that this process has read or written.
    pub(super) newest: DocumentVersion,
    /// Lines that this process cannot parse. A later version of the program, or one with more features, has written them.
    pub(super) unknown_lines: Vec<String>,
}

#[derive(Default)]
struct ActiveOverrides {
    of_key: HashMap<Digest, SmallVec<[StoredOverride; 1]>>,
    /// The end of the last override.
    end: Duration,
}

impl OverrideTable {
    pub(in crate::guard) fn new(is_enabled: bool) -> Self {
        Self {
            is_enabled,
            has_any: AtomicBool::new(false),
            active: RwLock::default(),
            document: Mutex::default(),
            start: Instant::now(),
        }
    }

    /// Returns the time of the clock of this process, unless the store has a clock in this process.
    pub(super) fn time(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns whether the table has overrides, some of which may have ended.
    pub(super) fn has_any(&self) -> bool {
        self.has_any.load(Relaxed)
    }

    /// Returns the quotas that replace those of the policy for a [hashed](crate::RateGuard::hashed_key) key.
    pub(super) fn quotas(&self, policy: &str, key: &Key, now: Duration) -> Option<Arc<Quotas>> {
        let active = self.active();
        if now >= active.end {
            self.remove_ended(&active);
            return None;
        }
        let digest = key.digest();
        let of_key = active.of_key.get(&digest)?;
        let found = of_key.iter().find(|it| it.policy == policy && now < it.ends_at)?;
        Some(Arc::clone(&found.quotas))
    }

    /// Returns the overrides that have not ended.
    pub(super) fn list(&self, now: Duration) -> Vec<StoredOverride> {
        let active = self.active();
        let overrides = active.of_key.values().flatten();
        overrides.filter(|it| now < it.ends_at).cloned().collect()
    }

    /// Returns the number of overrides of a policy that have not ended.
    pub(super) fn count(&self, policy: &str, now: Duration) -> usize {
        let active = self.active();
        let overrides = active.of_key.values().flatten();
        overrides.filter(|it| it.policy == policy && now < it.ends_at).count()
    }

    /// Replaces all overrides.
    pub(super) fn replace(&self, overrides: impl IntoIterator<Item = StoredOverride>) {
        let mut active = ActiveOverrides::default();
        for it in overrides {
            active.end = active.end.max(it.ends_at);
            active.of_key.entry(it.digest).or_default().push(it);
        }
        let mut current = self.active.write().unwrap_or_else(PoisonError::into_inner);
        self.has_any.store(!active.of_key.is_empty(), SeqCst);
        *current = Arc::new(active);
    }

    /// Empties the table after its last override has ended, so that checks need no lock again.
    fn remove_ended(&self, ended: &Arc<ActiveOverrides>) {
        let mut current = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, ended) {
            self.has_any.store(false, SeqCst);
            *current = Arc::default();
        }
    }

    fn active(&self) -> Arc<ActiveOverrides> {
        // Code under this lock only assigns one value, so the value is consistent even if the lock is poisoned.
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(policy: &str, key: &str, ends_at: u64) -> StoredOverride {
        StoredOverride {
            ends_at: Duration::from_secs(ends_at),
            digest: Key::from(key).digest(),
            policy: policy.to_owned(),
            quotas: Arc::new(format!("{ends_at}/minute").parse().unwrap()),
            description: None,
        }
    }

    #[test]
    fn override_is_found_by_policy_and_key_until_its_end() {
        let table = OverrideTable::new(true);
        assert!(!table.has_any());
        table.replace([stored("p", "one", 5), stored("q", "one", 9), stored("p", "two", 7)]);
        let limit = |policy, key, now| {
            let quotas = table.quotas(policy, &Key::from(key), Duration::from_secs(now));
            quotas.map(|quotas| quotas.as_slice()[0].limit())
        };
        assert_eq!([limit("p", "one", 4), limit("q", "one", 4)], [Some(5), Some(9)]);
        assert_eq!([limit("p", "one", 5), limit("q", "one", 5)], [None, Some(9)]);
        assert_eq!([limit("p", "two", 6), limit("q", "two", 6)], [Some(7), None]);
        assert_eq!(table.list(Duration::from_secs(6)).len(), 2);
        assert_eq!((limit("q", "one", 9), table.has_any()), (None, false));
    }
}
