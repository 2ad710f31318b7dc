//! Requests that wait for the next batch to a server.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};

use redis::RedisError;
use tokio::sync::{Notify, oneshot};

use super::{StoreError, fair_queue::FairQueue, waker::wake_soon};
use crate::store::script::{BatchOutcome, ScriptRequest};

/// A batch has no more requests than this. Redis runs nothing else during a script call; with small batches, clients read the reply
/// of one batch while Redis runs the next.
const MAX_BATCH: usize = 32;
/// A batch of several requests adds no more entries to logs than this, which takes a server a millisecond or less; as sorted sets, two.
pub(super) const MAX_BATCH_ENTRIES: u32 = 500;

#[derive(Default)]
pub(super) struct BatchQueue {
    lanes: Mutex<Lanes>,
    /// Notified when a request is added.
    pub(super) wake: Notify,
    /// A wake-up may be delayed and shared by the requests of a thread, as the dispatcher reads the queue soon in any case.
    shares_wakes: AtomicBool,
}

#[derive(Default)]
struct Lanes {
    enforced: FairQueue,
    low_priority: FairQueue,
}

/// Which lane of the queue a batch is taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Enforced,
    /// Shadow traffic: no enforced check waits for it.
    Low,
}

/// A request that waits for its outcome.
pub(super) struct PendingRequest {
    pub(super) request: Arc<ScriptRequest>,
    /// It is sent alone, as a reset is, or as its batch failed with an error that may concern only one of the requests.
    pub(super) no_batching: bool,
    pub(super) asked_at: Instant,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<Result<BatchOutcome, RequestError>>,
}

/// Why a request failed.
#[derive(Clone)]
pub(super) enum RequestError {
    /// The connection of this generation returned an error.
    OnConnection(u64, RedisError),
    /// The request was dropped because the connection was lost.
    NoConnection(StoreError),
}

impl PendingRequest {
    pub(super) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    pub(super) fn complete(self, outcome: BatchOutcome) {
        // A caller that has given up does not need it.
        let _ = self.answer.send(Ok(outcome));
    }

    pub(super) fn fail(self, error: RequestError) {
        let _ = self.answer.send(Err(error));
    }
}

impl Lanes {
    fn of(&mut self, priority: Priority) -> &mut FairQueue {
        match priority {
            Priority::Enforced => &mut self.enforced,
            Priority::Low => &mut self.low_priority,
        }
    }
}

fn priority_of(request: &ScriptRequest) -> Priority {
    if request.is_low_priority { Priority::Low } else { Priority::Enforced }
}

impl BatchQueue {
    pub(super) fn push(self: &Arc<Self>, request: PendingRequest) {
        let priority = priority_of(&request.request);
        self.lock().of(priority).push(request);
        if self.shares_wakes.load(SeqCst) {
            wake_soon(self);
        } else {
            self.wake.notify_one();
        }
    }

    /// Sets whether wake-ups may be delayed and shared. After clearing it, the dispatcher has to read the queue once more.
    pub(super) fn share_wakes(&self, shares_wakes: bool) {
        self.shares_wakes.store(shares_wakes, SeqCst);
    }

    /// How many requests wait, those that have been given up included.
    pub(super) fn len(&self, priority: Priority) -> usize {
        self.lock().of(priority).len()
    }

    /// Takes the requests of the next batch.
    pub(super) fn take(&self, priority: Priority) -> Vec<PendingRequest> {
        let mut lanes = self.lock();
        let queue = lanes.of(priority);
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

    /// Puts requests back whose batch failed, before later ones for the same keys.
    pub(super) fn requeue(&self, requests: impl DoubleEndedIterator<Item = PendingRequest>) {
        let mut lanes = self.lock();
        let mut is_any = false;
        for request in requests.rev() {
            lanes.of(priority_of(&request.request)).requeue(request);
            is_any = true;
        }
        drop(lanes);
        if is_any {
            self.wake.notify_one();
        }
    }

    /// Completes every request for the same check that was made at or before this moment, with the denial.
    pub(super) fn deny_same_checks(
        &self,
        check: &ScriptRequest,
        before: Instant,
        denial: &BatchOutcome,
    ) {
        let same = self.lock().of(priority_of(check)).take_same_checks(check, before);
        same.into_iter().for_each(|request| request.complete(denial.clone()));
    }

    /// Fails all requests for this reason.
    pub(super) fn fail_all(&self, cause: StoreError) {
        let requests = {
            let mut lanes = self.lock();
            let enforced = lanes.enforced.drain();
            enforced.into_iter().chain(lanes.low_priority.drain()).collect::<Vec<_>>()
        };
        requests.into_iter().for_each(|it| it.fail(RequestError::NoConnection(cause)));
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics while the lock is held.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Key, Quota, RedisLog,
        store::{Bucket, BucketRequest, Operation, Verdict},
    };

    type StoreFuture = oneshot::Receiver<Result<BatchOutcome, RequestError>>;

    fn push_for(queue: &Arc<BatchQueue>, key: &Key, cost: u32, priority: Priority) -> StoreFuture {
        let quota = Quota::new(10_000, Duration::from_secs(60)).unwrap();
        let charge = BucketRequest::new(Bucket::new("p", 0, key), quota, cost);
        let charges = [BucketRequest { low_priority: priority == Priority::Low, ..charge }];
        let request = ScriptRequest::new("test", RedisLog::Packed, Operation::Check, &charges);
        let (answer, answered) = oneshot::channel();
        let asked_at = Instant::now();
        queue.push(PendingRequest {
            request: Arc::new(request),
            no_batching: false,
            asked_at,
            deadline: asked_at,
            answer,
        });
        answered
    }

    fn push(queue: &Arc<BatchQueue>, cost: u32, priority: Priority) -> StoreFuture {
        push_for(queue, &Key::global(), cost, priority)
    }

    #[test]
    fn a_batch_is_bounded_and_has_no_request_that_was_given_up() {
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
    fn a_batch_is_bounded_by_the_entries_that_it_adds() {
        let queue = Arc::<BatchQueue>::default();
        drop(push(&queue, 10_000, Priority::Low));
        let _wait: Vec<_> =
            [1, 499, 1, 10_000, 2].map(|cost| push(&queue, cost, Priority::Low)).into();
        let _enforced = push(&queue, 1, Priority::Enforced);
        assert_eq!((queue.len(Priority::Enforced), queue.len(Priority::Low)), (1, 6));
        // 1 and 499, then 1, then 10,000, then 2.
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
        // It goes back into its own lane.
        queue.requeue(taken.into_iter());
        assert_eq!((queue.len(Priority::Enforced), queue.len(Priority::Low)), (1, 0));
    }

    #[test]
    fn a_hot_key_delays_another_key_by_no_more_than_a_batch() {
        let queue = Arc::<BatchQueue>::default();
        let (hot, other) = (Key::from("hot"), Key::from("other"));
        let _hot: Vec<_> =
            (0..1_000).map(|_| push_for(&queue, &hot, 1, Priority::Enforced)).collect();
        let _other = push_for(&queue, &other, 2, Priority::Enforced);
        let batch = queue.take(Priority::Enforced);
        let costs = |batch: &[PendingRequest]| batch.iter().map(|it| it.request.entries()).sum();
        assert_eq!((batch.len(), costs(&batch)), (32, 33_u32));
        // Nor is a later request delayed by those of the hot key that are put back.
        let _later = push_for(&queue, &other, 2, Priority::Enforced);
        queue.requeue(batch.into_iter());
        let batch = queue.take(Priority::Enforced);
        assert_eq!((batch.len(), costs(&batch)), (32, 34_u32));
        assert_eq!(queue.len(Priority::Enforced), 970);
    }

    #[test]
    fn requests_that_are_put_back_keep_their_order_before_later_ones_of_their_key() {
        let queue = Arc::<BatchQueue>::default();
        let _wait: Vec<_> = (1..=40).map(|cost| push(&queue, cost, Priority::Enforced)).collect();
        let first = queue.take(Priority::Enforced);
        queue.requeue(first.into_iter());
        let batches = [(); 2].map(|()| queue.take(Priority::Enforced));
        let costs: Vec<_> = batches.iter().flatten().map(|it| it.request.entries()).collect();
        assert_eq!(costs, (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn a_denial_answers_the_same_checks_that_were_made_before() {
        let queue = Arc::<BatchQueue>::default();
        let denied = queue_of_one(1);
        let mut same: Vec<_> = (0..5).map(|_| push(&queue, 1, Priority::Enforced)).collect();
        let mut other = push(&queue, 2, Priority::Enforced);
        let before = Instant::now();
        while Instant::now() == before {}
        let mut later = push(&queue, 1, Priority::Enforced);
        let denial = BatchOutcome::Decided(Verdict::new(false, []));
        queue.deny_same_checks(&denied, before, &denial);
        assert!(
            same.iter_mut()
                .all(|answer| matches!(answer.try_recv(), Ok(Ok(BatchOutcome::Decided(_)))))
        );
        assert!(other.try_recv().is_err() && later.try_recv().is_err());
        assert_eq!(queue.len(Priority::Enforced), 2);
        assert_eq!(queue.take(Priority::Enforced).len(), 2);
        queue.deny_same_checks(&denied, Instant::now(), &denial);
        assert_eq!(queue.len(Priority::Enforced), 0);
    }

    fn queue_of_one(cost: u32) -> Arc<ScriptRequest> {
        let queue = Arc::<BatchQueue>::default();
        let _wait = push(&queue, cost, Priority::Enforced);
        queue.take(Priority::Enforced).remove(0).request
    }
}
