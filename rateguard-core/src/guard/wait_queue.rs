//! Queues of checks that wait for room. Each pair of a policy and a key has a separate queue.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync;

use crate::{Key, Policy, policy::PolicyName};

/// The wait queues of a guard in this process. A queue exists only while it contains a check.
#[derive(Default)]
pub(super) struct WaitQueues {
    queues: Mutex<HashMap<QueueId, WaitQueue>>,
}

#[derive(Default)]
struct WaitQueue {
    /// The number of checks in the queue, including the check at the front.
    length: usize,
    /// The check at the front holds this lock. Tokio's mutex is fair, so the checks get the lock in the order in
    /// which they joined the queue.
    front: Arc<sync::Mutex<()>>,
}

/// Identifies a queue by its policy and its key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct QueueId {
    policy: PolicyName,
    key: Key,
}

impl QueueId {
    pub(super) fn of(policy: &Policy, key: &Key) -> Self {
        Self { policy: policy.shared_name().clone(), key: *key }
    }
}

impl WaitQueues {
    /// Whether at least one check is in the queue for this policy and key.
    pub(super) fn has(&self, id: &QueueId) -> bool {
        self.lock().contains_key(id)
    }

    /// Adds a check to a queue, and waits until the check is at the front of the queue.
    pub(super) async fn acquire(&self, id: QueueId) -> QueueGuard<'_> {
        let front = {
            let mut queues = self.lock();
            let queue = queues.entry(id.clone()).or_default();
            queue.length += 1;
            Arc::clone(&queue.front)
        };
        let entry = QueueEntry { queues: self, id };
        QueueGuard { _front: front.lock_owned().await, entry }
    }

    /// Returns the number of queues.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, WaitQueue>> {
        // No code panics while the lock is held, so the lock is never poisoned.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The front position in a queue. The fields are dropped in the order of their declaration: first the lock is
/// released for the next check, and then the entry is removed from the queue.
pub(super) struct QueueGuard<'a> {
    _front: sync::OwnedMutexGuard<()>,
    entry: QueueEntry<'a>,
}

impl QueueGuard<'_> {
    pub(super) fn id(&self) -> &QueueId {
        &self.entry.id
    }
}

/// A check in a queue. When the last entry of a queue is dropped, the queue is removed.
struct QueueEntry<'a> {
    queues: &'a WaitQueues,
    id: QueueId,
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(&self.id) {
            queue.length -= 1;
            if queue.length == 0 {
                queues.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_is_removed_when_its_last_entries_drop_concurrently() {
        let queues = WaitQueues::default();
        let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
        for _ in 0..500 {
            let entries = [(); 2].map(|()| {
                let queues = &queues;
                let id = QueueId::of(&policy, &key);
                queues.lock().entry(id.clone()).or_default().length += 1;
                QueueEntry { queues, id }
            });
            let start = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for entry in entries {
                    scope.spawn(|| {
                        start.wait();
                        drop(entry);
                    });
                }
            });
            assert_eq!(queues.len(), 0);
        }
    }
}
