//! Holds the requests that wait for the next batch to a Redis server.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    fair_queue::FairQueue,
    pending_request::{PendingRequest, RequestError},
    queued_request::QueuedRequest,
};
use crate::store::{StoreError, script::BatchOutcome};

/// The maximum number of requests in a batch. Redis runs no other command during a script call, so a larger batch
/// would delay other clients. With small batches, the client can also read the reply to one batch while Redis runs
/// the next batch.
const MAX_BATCH: usize = 32;
/// The maximum number of entries that a batch with several requests adds to sliding-window logs. Redis adds this many
/// entries in at most 1 ms, or in at most 2 ms if the logs are sorted sets.
pub(super) const MAX_BATCH_ENTRIES: u32 = 500;

/// The queue of a dispatcher. Any thread may add requests, and the dispatcher takes them.
pub(super) struct BatchQueue {
    state: Mutex<State>,
    /// Notified when the queue has a new request.
    pub(super) wake: Notify,
    /// Whether the dispatcher has run since the last call of `take_has_run`.
    has_run: AtomicBool,
}

struct State {
    enforced: FairQueue,
    low_priority: FairQueue,
    /// The reason why the queue accepts no requests. It is `None` while the queue accepts requests.
    closed_by: Option<StoreError>,
    /// No request in the queue expires before this time. It is `None` if the queue is empty.
    first_expiry: Option<Instant>,
    /// The time of the first push since the dispatcher last called `take_first_push`.
    first_push: Option<Instant>,
}

/// The priority of a request. For each priority there is one fair queue, which serves all keys in turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Enforced,
    /// The priority of shadow traffic, which must not delay enforced checks.
    Low,
}

impl State {
    fn get(&mut self, priority: Priority) -> &mut FairQueue {
        match priority {
            Priority::Enforced => &mut self.enforced,
            Priority::Low => &mut self.low_priority,
        }
    }

    fn record_expiry(&mut self, request: &PendingRequest) {
        let first = self.first_expiry.get_or_insert(request.expires_at);
        *first = request.expires_at.min(*first);
    }

    fn take_all(&mut self, is_taken: impl Fn(&PendingRequest) -> bool) -> Vec<PendingRequest> {
        let mut taken = self.enforced.take_all(&is_taken);
        taken.extend(self.low_priority.take_all(&is_taken));
        self.first_expiry = None;
        let left = self.enforced.iter_mut().chain(self.low_priority.iter_mut());
        self.first_expiry = left.map(|request| request.expires_at).min();
        taken
    }
}

fn priority_of(request: &QueuedRequest) -> Priority {
    if request.is_low_priority { Priority::Low } else { Priority::Enforced }
}

impl BatchQueue {
    /// Creates a queue that accepts requests.
    pub(super) fn new() -> Self {
        Self::with_state(None)
    }

    /// Creates a queue that accepts no requests until it is [opened](Self::open).
    pub(super) fn closed() -> Self {
        Self::with_state(Some(StoreError::NotReady(None)))
    }

    fn with_state(closed_by: Option<StoreError>) -> Self {
        let state = State {
            enforced: FairQueue::default(),
            low_priority: FairQueue::default(),
            closed_by,
            first_expiry: None,
            first_push: None,
        };
        Self { state: Mutex::new(state), wake: Notify::new(), has_run: AtomicBool::new(false) }
    }

    /// Adds a request. If the queue is closed, returns the request and the reason.
    pub(super) fn push(&self, request: PendingRequest) -> Result<(), (PendingRequest, StoreError)> {
        let mut state = self.lock();
        if let Some(cause) = state.closed_by {
            return Err((request, cause));
        }
        state.record_expiry(&request);
        state.first_push.get_or_insert_with(Instant::now);
        state.get(priority_of(&request.request)).push(request);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Adds requests that another queue has not sent. If the queue is closed, the requests fail.
    pub(super) fn push_all(&self, requests: impl IntoIterator<Item = PendingRequest>) {
        for request in requests {
            if let Err((request, cause)) = self.push(request) {
                request.fail(RequestError::Store(cause));
            }
        }
    }

    /// Accepts requests from now on.
    pub(super) fn open(&self) {
        self.lock().closed_by = None;
    }

    /// Returns true if the queue accepts requests.
    pub(super) fn is_open(&self) -> bool {
        self.lock().closed_by.is_none()
    }

    /// Accepts no requests from now on. Returns the requests that are in the queue.
    pub(super) fn close(&self, cause: StoreError) -> Vec<PendingRequest> {
        let mut state = self.lock();
        state.closed_by = Some(cause);
        state.take_all(|_| true)
    }

    /// Takes all requests from the queue.
    pub(super) fn drain(&self) -> Vec<PendingRequest> {
        self.lock().take_all(|_| true)
    }

    /// Returns the number of requests with this priority. Requests whose callers no longer wait are included.
    pub(super) fn len(&self, priority: Priority) -> usize {
        self.lock().get(priority).len()
    }

    /// Removes the requests for the next batch from the queue, and returns them.
    pub(super) fn take(&self, priority: Priority) -> Vec<PendingRequest> {
        let mut state = self.lock();
        let queue = state.get(priority);
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
        if state.enforced.len() + state.low_priority.len() == 0 {
            state.first_expiry = None;
        }
        taken
    }

    /// Puts the requests of a failed batch back into the queue. There they precede all requests for the same keys
    /// that arrived after them. If the queue is closed, the requests fail.
    pub(super) fn requeue(&self, requests: impl DoubleEndedIterator<Item = PendingRequest>) {
        let mut state = self.lock();
        if let Some(cause) = state.closed_by {
            drop(state);
            requests.for_each(|request| request.fail(RequestError::Store(cause)));
            return;
        }
        let mut has_requests = false;
        for request in requests.rev() {
            state.record_expiry(&request);
            state.get(priority_of(&request.request)).requeue(request);
            has_requests = true;
        }
        drop(state);
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

    /// Returns the time of the first push since the last call of this method.
    pub(super) fn take_first_push(&self) -> Option<Instant> {
        self.lock().first_push.take()
    }

    /// Returns a time before which no request in the queue expires. Returns `None` if the queue is empty.
    pub(super) fn first_expiry(&self) -> Option<Instant> {
        self.lock().first_expiry
    }

    /// Takes the requests that expire at the time `now` or earlier.
    pub(super) fn take_expired(&self, now: Instant) -> Vec<PendingRequest> {
        self.lock().take_all(|request| request.expires_at <= now)
    }

    /// Moves the expiry of all requests in the queue, because the dispatcher was stalled for this time.
    pub(super) fn postpone_expiry(&self, stall: Duration) {
        let mut state = self.lock();
        let State { enforced, low_priority, first_expiry, .. } = &mut *state;
        for request in enforced.iter_mut().chain(low_priority.iter_mut()) {
            request.expires_at += stall;
        }
        *first_expiry = first_expiry.map(|first| first + stall);
    }

    /// Records that the dispatcher runs.
    pub(super) fn record_run(&self) {
        // Do not write if nothing changes, because a write makes the value slow to read for other threads.
        if !self.has_run.load(Relaxed) {
            self.has_run.store(true, Relaxed);
        }
    }

    /// Returns whether the dispatcher has run since the last call of this method.
    pub(super) fn take_has_run(&self) -> bool {
        self.has_run.swap(false, Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The lock is never poisoned, because no code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;
    use crate::{
        Key, Quota,
        store::{
            Bucket, BucketRequest, Operation, Verdict, log_encoding::LogEncoding,
            redis::pending_request::PendingOutcome,
        },
    };

    const DEADLINE: Duration = Duration::from_secs(10);

    fn push_for(queue: &BatchQueue, key: &Key, cost: u32, priority: Priority) -> PendingOutcome {
        let quota = Quota::new(10_000, Duration::from_secs(60)).unwrap();
        let request = BucketRequest::new(Bucket::new("p", 0, key), quota, cost);
        let requests = [BucketRequest { low_priority: priority == Priority::Low, ..request }];
        let request = QueuedRequest::new("test", LogEncoding::Packed, Operation::Check, &requests);
        let (request, outcome) = PendingRequest::new(&Arc::new(request), DEADLINE);
        assert!(queue.push(request).is_ok());
        outcome
    }

    fn push(queue: &BatchQueue, cost: u32, priority: Priority) -> PendingOutcome {
        push_for(queue, &Key::global(), cost, priority)
    }

    #[test]
    fn batch_is_bounded_and_skips_abandoned_requests() {
        let queue = BatchQueue::new();
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
        let queue = BatchQueue::new();
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
        let queue = BatchQueue::new();
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
        let queue = BatchQueue::new();
        let _wait: Vec<_> = (1..=40).map(|cost| push(&queue, cost, Priority::Enforced)).collect();
        let first = queue.take(Priority::Enforced);
        queue.requeue(first.into_iter());
        let batches = [(); 2].map(|()| queue.take(Priority::Enforced));
        let costs: Vec<_> = batches.iter().flatten().map(|it| it.request.entries()).collect();
        assert_eq!(costs, (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn denial_completes_earlier_requests_for_the_same_check() {
        let queue = BatchQueue::new();
        let denied = request(1);
        let same: Vec<_> = (0..5).map(|_| push(&queue, 1, Priority::Enforced)).collect();
        let other = push(&queue, 2, Priority::Enforced);
        let before = Instant::now();
        while Instant::now() == before {}
        let later = push(&queue, 1, Priority::Enforced);
        let denial = BatchOutcome::Decided(Verdict::new(false, []));
        queue.deny_same_checks(&denied, before, &denial);
        for outcome in same {
            assert!(matches!(outcome.wait().now_or_never(), Some(Ok(BatchOutcome::Decided(_)))));
        }
        assert_eq!(queue.len(Priority::Enforced), 2);
        queue.deny_same_checks(&denied, Instant::now(), &denial);
        assert!(later.wait().now_or_never().is_some());
        assert_eq!(queue.take(Priority::Enforced).len(), 1);
        assert!(other.wait().now_or_never().is_some_and(|outcome| outcome.is_err()));
    }

    #[test]
    fn expired_requests_are_taken_and_a_stall_postpones_the_expiry() {
        let queue = BatchQueue::new();
        assert_eq!(queue.first_expiry(), None);
        let _outcomes = [Priority::Enforced, Priority::Low].map(|it| push(&queue, 1, it));
        let expiry = queue.first_expiry().unwrap();
        assert!(queue.take_expired(expiry - Duration::from_millis(1)).is_empty());
        queue.postpone_expiry(DEADLINE);
        assert_eq!(queue.first_expiry(), Some(expiry + DEADLINE));
        assert_eq!(queue.take_expired(expiry + DEADLINE).len(), 1);
        assert_eq!(queue.take_expired(expiry + 2 * DEADLINE).len(), 1);
        assert_eq!(queue.first_expiry(), None);
    }

    #[test]
    fn closed_queue_returns_its_requests_and_accepts_no_new_ones() {
        let queue = BatchQueue::new();
        let _first = push(&queue, 1, Priority::Enforced);
        let taken = queue.close(StoreError::Busy);
        assert_eq!(taken.len(), 1);
        let (rejected, _outcome) = PendingRequest::new(&request(1), DEADLINE);
        assert!(matches!(queue.push(rejected), Err((_, StoreError::Busy))));
        queue.requeue(taken.into_iter());
        assert_eq!(queue.len(Priority::Enforced), 0);
        queue.open();
        let _second = push(&queue, 1, Priority::Enforced);
        assert_eq!(queue.len(Priority::Enforced), 1);
    }

    fn request(cost: u32) -> Arc<QueuedRequest> {
        let queue = BatchQueue::new();
        let _wait = push(&queue, cost, Priority::Enforced);
        queue.take(Priority::Enforced).remove(0).request
    }
}
