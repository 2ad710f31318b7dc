//! The queues of the checks that wait for room, one for each key of a policy.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync;

use crate::{Key, Policy, policy::PolicyName};

/// The wait queues of a guard in this process. A queue exists only while a check waits in it.
#[derive(Default)]
pub(super) struct WaitQueues {
    queues: Mutex<HashMap<QueueId, WaitQueue>>,
}

#[derive(Default)]
struct WaitQueue {
    /// The number of checks in the queue, including the one at the front.
    length: usize,
    /// Held by the check at the front. Tokio's mutex is fair: it is locked in the order of the calls.
    front: Arc<sync::Mutex<()>>,
}

/// A key of a policy.
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
    /// Whether a check waits in this queue.
    pub(super) fn has(&self, id: &QueueId) -> bool {
        self.lock().contains_key(id)
    }

    /// Joins a queue and waits until the check is at its front.
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

    /// The number of queues.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, WaitQueue>> {
        // No code panics while the lock is held, so a poisoned lock is still consistent.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The front of a queue. The fields are dropped in this order: first the lock goes to the next check, then the entry is
/// removed.
pub(super) struct QueueGuard<'a> {
    _front: sync::OwnedMutexGuard<()>,
    entry: QueueEntry<'a>,
}

impl QueueGuard<'_> {
    pub(super) fn id(&self) -> &QueueId {
        &self.entry.id
    }
}

/// A check in a queue. The last entry removes the queue.
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
