//! Queues of requests that wait for room. Each pair of a policy and a key has a separate queue.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{self, Notify};

use super::queue_denial::QueueDenial;
use crate::{Decision, Key, Policy, policy::PolicyName};

/// The maximum numbers of requests that wait because of the wait of their limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxWaiting {
    /// For one policy and key.
    pub(super) per_key: usize,
    /// For the whole guard.
    pub(super) total: usize,
}

impl Default for MaxWaiting {
    fn default() -> Self {
        Self { per_key: 100, total: 10_000 }
    }
}

/// The wait queues of a guard in this process.
pub(super) struct WaitQueues {
    table: Mutex<QueueTable>,
    max: MaxWaiting,
    /// Wakes all waiting requests when the guard is closed.
    pub(super) closed: Notify,
}

#[derive(Default)]
struct QueueTable {
    /// A queue exists only while it contains a request.
    queues: HashMap<QueueId, WaitQueue>,
    /// The number of requests in all queues.
    length: usize,
}

#[derive(Default)]
struct WaitQueue {
    /// The number of requests in the queue, including the request at the front.
    length: usize,
    /// The units for which these requests wait.
    units: u64,
    /// The request at the front holds this lock. Tokio's mutex is fair, so the requests get the lock in the order in
    /// which they joined the queue.
    front: Arc<sync::Mutex<()>>,
    /// The last denial of a request that did not join the queue.
    denial: Option<QueueDenial>,
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
    pub(super) fn new(max: MaxWaiting) -> Self {
        Self { table: Mutex::default(), max, closed: Notify::new() }
    }

    /// Whether at least one request is in the queue for this policy and key.
    pub(super) fn has(&self, id: &QueueId) -> bool {
        self.lock().queues.contains_key(id)
    }

    /// Returns the number of units for which the requests in this queue wait.
    pub(super) fn units(&self, id: &QueueId) -> u64 {
        self.lock().queues.get(id).map_or(0, |queue| queue.units)
    }

    /// Returns the last denial behind this queue, if a request of this policy and cost gets the same denial.
    pub(super) fn repeated_denial(
        &self,
        id: &QueueId,
        policy: &Policy,
        cost: u32,
    ) -> Option<Decision> {
        let table = self.lock();
        let queue = table.queues.get(id)?;
        queue.denial.as_ref()?.repeat(policy, cost, queue.units)
    }

    /// Stores a denial behind this queue, if the queue still exists.
    pub(super) fn store_denial(
        &self,
        id: &QueueId,
        denial: impl FnOnce(u64) -> Option<QueueDenial>,
    ) {
        if let Some(queue) = self.lock().queues.get_mut(id) {
            queue.denial = denial(queue.units);
        }
    }

    /// Returns the number of requests in all queues.
    #[cfg(any(feature = "metrics", feature = "statistics"))]
    pub(super) fn len(&self) -> usize {
        self.lock().length
    }

    /// Returns the number of waiting requests of each policy that has some.
    #[cfg(feature = "statistics")]
    pub(super) fn len_by_policy(&self) -> HashMap<String, u64> {
        let mut lengths = HashMap::new();
        for (id, queue) in &self.lock().queues {
            let length = lengths.entry(id.policy.as_str().to_owned()).or_default();
            *length += queue.length as u64;
        }
        lengths
    }

    /// Adds a request that waits for `cost` units to a queue. If `is_bounded` is true and too many requests wait for
    /// this key or in the guard, returns `None`.
    pub(super) fn join(&self, id: QueueId, cost: u32, is_bounded: bool) -> Option<QueueEntry<'_>> {
        let mut table = self.lock();
        if is_bounded && table.is_full(&id, self.max) {
            return None;
        }
        table.length += 1;
        let queue = table.queues.entry(id.clone()).or_default();
        let (is_alone, ahead) = (queue.length == 0, queue.units);
        queue.length += 1;
        queue.units = queue.units.saturating_add(cost.into());
        let front = Arc::clone(&queue.front);
        Some(QueueEntry { queues: self, id, cost, is_alone, ahead, front })
    }

    /// Returns whether a request of a client cannot join this queue.
    pub(super) fn is_full(&self, id: &QueueId) -> bool {
        self.lock().is_full(id, self.max)
    }

    fn lock(&self) -> MutexGuard<'_, QueueTable> {
        // No code panics while the lock is held, so the lock is never poisoned.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueTable {
    fn is_full(&self, id: &QueueId, max: MaxWaiting) -> bool {
        let length = self.queues.get(id).map_or(0, |queue| queue.length);
        length >= max.per_key || self.length >= max.total
    }
}

/// The position of a request in a queue. The fields are dropped in the order of their declaration: first the lock is
/// released for the next request, and then the entry is removed from the queue.
pub(super) struct QueuePosition<'a> {
    /// The lock of the front. `None` if the request waits outside of the order of the queue.
    _front: Option<sync::OwnedMutexGuard<()>>,
    entry: QueueEntry<'a>,
}

impl QueuePosition<'_> {
    pub(super) fn id(&self) -> &QueueId {
        &self.entry.id
    }
}

/// A request in a queue. When the last entry of a queue is dropped, the queue is removed.
pub(super) struct QueueEntry<'a> {
    queues: &'a WaitQueues,
    id: QueueId,
    cost: u32,
    is_alone: bool,
    ahead: u64,
    front: Arc<sync::Mutex<()>>,
}

impl<'a> QueueEntry<'a> {
    /// Whether the queue was empty when this request joined it.
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Returns the units for which the requests in the queue waited when this request joined it.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Waits until the request is at the front of the queue.
    pub(super) async fn front(self) -> QueuePosition<'a> {
        let front = Arc::clone(&self.front).lock_owned().await;
        QueuePosition { _front: Some(front), entry: self }
    }

    /// Lets the request wait outside of the order of the queue. It still counts as a waiting request of the key.
    pub(super) fn outside(mut self) -> QueuePosition<'a> {
        // Later requests need not wait for these units.
        let cost = mem::take(&mut self.cost);
        if let Some(queue) = self.queues.lock().queues.get_mut(&self.id) {
            queue.units = queue.units.saturating_sub(cost.into());
        }
        QueuePosition { _front: None, entry: self }
    }
}

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        let mut table = self.queues.lock();
        table.length -= 1;
        if let Some(queue) = table.queues.get_mut(&self.id) {
            queue.length -= 1;
            queue.units = queue.units.saturating_sub(self.cost.into());
            if queue.length == 0 {
                table.queues.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &'static str) -> QueueId {
        QueueId::of(&Policy::new("jobs", "1/hour").unwrap(), &Key::from(key))
    }

    #[test]
    fn queue_is_removed_when_its_last_entries_drop_concurrently() {
        let queues = WaitQueues::new(MaxWaiting::default());
        for _ in 0..500 {
            let entries = [(); 2].map(|()| queues.join(id("k"), 1, true).unwrap());
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
            assert!(queues.lock().queues.is_empty());
        }
    }

    #[test]
    fn bounds_apply_to_each_key_and_to_all_keys_together() {
        let queues = WaitQueues::new(MaxWaiting { per_key: 2, total: 3 });
        let join = |key, is_bounded| queues.join(id(key), 5, is_bounded);
        let first = [join("a", true), join("a", true)];
        assert!(first.iter().all(Option::is_some));
        assert!(join("a", true).is_none());
        let other = join("b", true);
        assert!(other.is_some() && join("c", true).is_none());
        assert!(join("a", false).is_some(), "the program may wait without a bound");
        assert_eq!(queues.units(&id("a")), 10);
        drop(first);
        assert_eq!((queues.units(&id("a")), queues.len()), (0, 1));
        assert!(join("a", true).is_some_and(|entry| entry.is_alone()));
    }
}
