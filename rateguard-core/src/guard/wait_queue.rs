//! The queues of the checks that wait for room, one for each key of a policy.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync;

use crate::{Key, Policy, policy::PolicyName};

/// Who waits for which key in this process.
#[derive(Default)]
pub(super) struct Queues {
    queues: Mutex<HashMap<QueueId, Queue>>,
}

#[derive(Default)]
struct Queue {
    /// How many are in it, the one whose turn it is included. With the last, the queue goes.
    length: usize,
    /// A mutex of Tokio's is fair: whoever asks first has it first.
    turn: Arc<sync::Mutex<()>>,
}

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

impl Queues {
    pub(super) fn has(&self, id: &QueueId) -> bool {
        self.lock().contains_key(id)
    }

    /// Waits until it is its turn.
    pub(super) async fn turn(&self, id: QueueId) -> QueueGuard<'_> {
        let lock = {
            let mut queues = self.lock();
            let queue = queues.entry(id.clone()).or_default();
            queue.length += 1;
            Arc::clone(&queue.turn)
        };
        let place = Place { queues: self, id };
        QueueGuard { _turn: lock.lock_owned().await, place }
    }

    /// The number of queues.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn goes to the next before the place does.
pub(super) struct QueueGuard<'a> {
    _turn: sync::OwnedMutexGuard<()>,
    place: Place<'a>,
}

impl QueueGuard<'_> {
    pub(super) fn id(&self) -> &QueueId {
        &self.place.id
    }
}

/// A place in a queue.
struct Place<'a> {
    queues: &'a Queues,
    id: QueueId,
}

impl Drop for Place<'_> {
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
    fn a_queue_goes_also_if_its_last_two_leave_at_once() {
        let queues = Queues::default();
        let (policy, key) = (Policy::new("jobs", "1/hour").unwrap(), Key::global());
        for _ in 0..500 {
            let places = [(); 2].map(|()| {
                let queues = &queues;
                let id = QueueId::of(&policy, &key);
                queues.lock().entry(id.clone()).or_default().length += 1;
                Place { queues, id }
            });
            let start = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for place in places {
                    scope.spawn(|| {
                        start.wait();
                        drop(place);
                    });
                }
            });
            assert_eq!(queues.len(), 0);
        }
    }
}
