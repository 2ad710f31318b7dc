//! Holds the requests that wait for the next batch to a Redis server.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::sync::Notify;

use super::{
    fair_queue::FairQueue,
    pending_request::{PendingRequest, RequestError},
    queued_request::QueuedRequest,
    waker::wake_soon,
};
use crate::store::{StoreError, script::BatchOutcome};

/// The maximum number of requests in a batch. Redis runs no other command during a script call, so a larger batch
/// would delay other clients. With small batches, the client can also read the reply to one batch while Redis runs
/// the next batch.
const MAX_BATCH: usize = 32;
/// The maximum number of entries that a batch with several requests adds to sliding-window logs. Redis adds this many
/// entries in at most 1 ms, or in at most 2 ms if the logs are sorted sets.
pub(super) const MAX_BATCH_ENTRIES: u32 = 500;

#[derive(Default)]
pub(super) struct BatchQueue {
    lanes: Mutex<Lanes>,
    /// Notified when the queue has a new request.
    pub(super) wake: Arc<Notify>,
    /// If true, a thread may send one delayed wake-up for several requests, instead of one immediate wake-up for each
    /// request. This is safe only while the dispatcher also reads the queue on a timer.
    shares_wakes: AtomicBool,
}

#[derive(Default)]
struct Lanes {
    enforced: FairQueue,
    low_priority: FairQueue,
}

/// The priority of a request. For each priority there is one fair queue, which serves all keys in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Enforced,
    /// The priority of shadow traffic, which must not delay enforced checks.
    Low,
}

impl Lanes {
    fn get(&mut self, priority: Priority) -> &mut FairQueue {
        match priority {
            Priority::Enforced => &mut self.enforced,
            Priority::Low => &mut self.low_priority,
        }
    }
}

fn priority_of(request: &QueuedRequest) -> Priority {
    if request.is_low_priority { Priority::Low } else { Priority::Enforced }
}

impl BatchQueue {
    pub(super) fn push(self: &Arc<Self>, request: PendingRequest) {
        let priority = priority_of(&request.request);
        self.lock().get(priority).push(request);
        if self.shares_wakes.load(SeqCst) {
            wake_soon(&self.wake);
        } else {
            self.wake.notify_one();
        }
    }

    /// Sets whether a thread may send one delayed wake-up for several requests. After the dispatcher has passed
    /// `false`, it must read the queue once more, because a delayed wake-up may not have arrived yet.
    pub(super) fn share_wakes(&self, shares_wakes: bool) {
        self.shares_wakes.store(shares_wakes, SeqCst);
    }

    /// Returns the number of requests with this priority. Requests whose callers no longer wait are included.
    pub(super) fn len(&self, priority: Priority) -> usize {
        self.lock().get(priority).len()
    }

    /// Removes the requests for the next batch from the queue, and returns them.
    pub(super) fn take(&self, priority: Priority) -> Vec<PendingRequest> {
        let mut lanes = self.lock();
        let queue = lanes.get(priority);
        let (mut taken, mut entries) = (Vec::with_capacity(queue.len().min(MAX_BATCH)), 0_u32);
        while taken.len() < MAX_BATCH
            && let Some(request) = queue.pop()
        {
            entries = entries.saturating_add(request.request.entries());
            if entries > MAX_BATCH_ENTRIES && !taken.is_empty() {
                queue.requeue(request);
                break;
            }
            taken.push(request);
        }
        taken
    }

    /// Puts the requests of a failed batch back into the queue. There they precede all requests for the same keys
    /// that arrived after them.
    pub(super) fn requeue(&self, requests: impl DoubleEndedIterator<Item = PendingRequest>) {
        let mut lanes = self.lock();
        let mut has_requests = false;
        for request in requests.rev() {
            lanes.get(priority_of(&request.request)).requeue(request);
            has_requests = true;
        }
        drop(lanes);
        if has_requests {
            self.wake.notify_one();
        }
    }

    /// Finds the requests in the queue that ask for the same check as `check` and whose `created_at` is not later than
    /// `before`. Completes these requests with the result `denial`.
    pub(super) fn deny_same_checks(
        &self,
        check: &QueuedRequest,
        before: Instant,
        denial: &BatchOutcome,
    ) {
        let same = self.lock().get(priority_of(check)).take_same_checks(check, before);
        same.into_iter().for_each(|request| request.complete(denial.clone()));
    }

    /// Fails all requests in the queue with this error.
    pub(super) fn fail_all(&self, cause: StoreError) {
        let requests = {
            let mut lanes = self.lock();
            let enforced = lanes.enforced.drain();
            enforced.into_iter().chain(lanes.low_priority.drain()).collect::<Vec<_>>()
        };
        requests.into_iter().for_each(|it| it.fail(RequestError::NoConnection(cause)));
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // The lock is never poisoned, because no code panics while it holds the lock.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use crate::store::script::BatchOutcome;
    use std::time::Duration;

    use super::*;
    use crate::{
        Key, Quota,
        store::{Bucket, BucketRequest, Operation, Verdict, log_encoding::LogEncoding},
    };

    type Outcome = oneshot::Receiver<Result<BatchOutcome, RequestError>>;

    fn push_for(queue: &Arc<BatchQueue>, key: &Key, cost: u32, priority: Priority) -> Outcome {
        let quota = Quota::new(10_000, Duration::from_secs(60)).unwrap();
        let request = BucketRequest::new(Bucket::new("p", 0, key), quota, cost);
        let requests = [BucketRequest { low_priority: priority == Priority::Low, ..request }];
        let request = QueuedRequest::new("test", LogEncoding::Packed, Operation::Check, &requests);
        let (reply, outcome) = oneshot::channel();
        let created_at = Instant::now();
        queue.push(PendingRequest {
            request: Arc::new(request),
            no_batching: false,
            created_at,
            deadline: created_at,
            reply,
        });
        outcome
    }

    fn push(queue: &Arc<BatchQueue>, cost: u32, priority: Priority) -> Outcome {
        push_for(queue, &Key::global(), cost, priority)
    }

    #[test]
    fn batch_is_bounded_and_skips_abandoned_requests() {
        let queue = Arc::<BatchQueue>::default();
        for abandoned in [0, 1, 100, 5_000] {
            (0..abandoned).for_each(|_| drop(push(&queue, 10_000, Priority::Enforced)));
            let waiting: Vec<_> = (0..40).map(|_| push(&queue, 1, Priority::Enforced)).collect();
            assert_eq!(queue.take(Priority::Enforced).len(), MAX_BATCH);
            assert_eq!(queue.take(Priority::Enforced).len(), 40 - MAX_BATCH);
            assert!(queue.take(Priority::Enforced).is_empty() && waiting.len() == 40);
            assert_eq!(queue.len(Priority::Enforced), 0);
        }
    }

    #[test]
    fn batch_is_bounded_by_added_entries() {
        let queue = Arc::<BatchQueue>::default();
        drop(push(&queue, 10_000, Priority::Low));
        let _wait: Vec<_> =
            [1, 499, 1, 10_000, 2].map(|cost| push(&queue, cost, Priority::Low)).into();
        let _enforced = push(&queue, 1, Priority::Enforced);
        assert_eq!((queue.len(Priority::Enforced), queue.len(Priority::Low)), (1, 6));
        // The costs in the batches are 1 and 499, then 1, then 10,000, then 2.
        for expected in [2, 1, 1, 1, 0] {
            assert_eq!(queue.take(Priority::Low).len(), expected);
        }
        let _costly: Vec<_> =
            [10_000, 1, 600, 400, 101].map(|cost| push(&queue, cost, Priority::Enforced)).into();
        let costs = |batch: Vec<PendingRequest>| -> Vec<u32> {
            batch.iter().map(|it| it.request.entries()).collect()
        };
        for expected in [&[1][..], &[10_000], &[1], &[600], &[400], &[101]] {
            assert_eq!(costs(queue.take(Priority::Enforced)), expected);
        }
        let _enforced = push(&queue, 1, Priority::Enforced);
        let taken = queue.take(Priority::Enforced);
        assert_eq!(taken.len(), 1);
        // The request returns to the fair queue that has the same priority.
        queue.requeue(taken.into_iter());
        assert_eq!((queue.len(Priority::Enforced), queue.len(Priority::Low)), (1, 0));
    }

    #[test]
    fn hot_key_delays_other_keys_by_at_most_one_batch() {
        let queue = Arc::<BatchQueue>::default();
        let (hot, other) = (Key::from("hot"), Key::from("other"));
        let _hot: Vec<_> =
            (0..1_000).map(|_| push_for(&queue, &hot, 1, Priority::Enforced)).collect();
        let _other = push_for(&queue, &other, 2, Priority::Enforced);
        let batch = queue.take(Priority::Enforced);
        let costs = |batch: &[PendingRequest]| batch.iter().map(|it| it.request.entries()).sum();
        assert_eq!((batch.len(), costs(&batch)), (32, 33_u32));
        // When requests of the hot key return to the queue, they do not delay a newer request of another key either.
        let _later = push_for(&queue, &other, 2, Priority::Enforced);
        queue.requeue(batch.into_iter());
        let batch = queue.take(Priority::Enforced);
        assert_eq!((batch.len(), costs(&batch)), (32, 34_u32));
        assert_eq!(queue.len(Priority::Enforced), 970);
    }

    #[test]
    fn requeued_requests_precede_later_ones_of_their_key() {
        let queue = Arc::<BatchQueue>::default();
        let _wait: Vec<_> = (1..=40).map(|cost| push(&queue, cost, Priority::Enforced)).collect();
        let first = queue.take(Priority::Enforced);
        queue.requeue(first.into_iter());
        let batches = [(); 2].map(|()| queue.take(Priority::Enforced));
        let costs: Vec<_> = batches.iter().flatten().map(|it| it.request.entries()).collect();
        assert_eq!(costs, (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn denial_completes_earlier_requests_for_the_same_check() {
        let queue = Arc::<BatchQueue>::default();
        let denied = request(1);
        let mut same: Vec<_> = (0..5).map(|_| push(&queue, 1, Priority::Enforced)).collect();
        let mut other = push(&queue, 2, Priority::Enforced);
        let before = Instant::now();
        while Instant::now() == before {}
        let mut later = push(&queue, 1, Priority::Enforced);
        let denial = BatchOutcome::Decided(Verdict::new(false, []));
        queue.deny_same_checks(&denied, before, &denial);
        assert!(
            same.iter_mut()
                .all(|outcome| matches!(outcome.try_recv(), Ok(Ok(BatchOutcome::Decided(_)))))
        );
        assert!(other.try_recv().is_err() && later.try_recv().is_err());
        assert_eq!(queue.len(Priority::Enforced), 2);
        assert_eq!(queue.take(Priority::Enforced).len(), 2);
        queue.deny_same_checks(&denied, Instant::now(), &denial);
        assert_eq!(queue.len(Priority::Enforced), 0);
    }

    fn request(cost: u32) -> Arc<QueuedRequest> {
        let queue = Arc::<BatchQueue>::default();
        let _wait = push(&queue, cost, Priority::Enforced);
        queue.take(Priority::Enforced).remove(0).request
    }
}
