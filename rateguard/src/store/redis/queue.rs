//! Checks that wait for the next call to a server.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};

use redis::RedisError;
use tokio::sync::{Notify, oneshot};

use super::{StoreError, herald::wake_soon};
use crate::store::script::{Ask, Outcome};

/// So many are taken for a call at the most. A server does nothing else while it runs a script, and who has asked does not go on
/// before it has ended: of several calls, some are answered while others are decided on.
const MOST: usize = 32;
/// Where nobody waits for the answers, no more are taken after so many entries of logs, which take a server about a millisecond.
const MOST_ENTRIES: u32 = 500;
/// Beyond so many it is looked whether somebody has given up.
const MANY: usize = 1_024;

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Line>,
    /// Somebody has come.
    pub(super) wake: Notify,
    /// It is looked at soon also if nobody says so.
    is_watched: AtomicBool,
}

struct Line {
    waiting: VecDeque<Waiting>,
    /// Those who let the others go first.
    tried: VecDeque<Waiting>,
    /// With so many in either, those who have given up are let go.
    full: usize,
}

/// Somebody who asks, and waits.
pub(super) struct Waiting {
    pub(super) ask: Arc<Ask>,
    /// It shares no call: in one, something went wrong that may have been another's matter.
    pub(super) is_alone: bool,
    /// When it gives up.
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<Result<Outcome, Failed>>,
}

/// Why a call failed.
#[derive(Clone)]
pub(super) enum Failed {
    /// On the connection of this generation.
    On(u64, RedisError),
    /// There is no connection any more.
    Off(StoreError),
}

impl Waiting {
    pub(super) fn hear(self, outcome: Outcome) {
        // Who has given up does not hear it.
        let _ = self.answer.send(Ok(outcome));
    }

    pub(super) fn fail(self, failed: Failed) {
        let _ = self.answer.send(Err(failed));
    }
}

impl Default for Line {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), tried: VecDeque::new(), full: MANY }
    }
}

impl Line {
    fn of(&mut self, are_tried: bool) -> &mut VecDeque<Waiting> {
        if are_tried { &mut self.tried } else { &mut self.waiting }
    }
}

impl Queue {
    pub(super) fn join(self: &Arc<Self>, waiting: Waiting) {
        let mut line = self.lock();
        let (full, its) = (line.full, line.of(waiting.ask.is_tried));
        its.push_back(waiting);
        if its.len() >= full {
            its.retain(|waiting| !waiting.answer.is_closed());
            line.full = MANY.max(2 * line.waiting.len().max(line.tried.len()));
        }
        drop(line);
        if self.is_watched.load(SeqCst) {
            wake_soon(self);
        } else {
            self.wake.notify_one();
        }
    }

    /// Whether it is looked at soon also if nobody says so. Who has come before it no longer is has to be looked for after this.
    pub(super) fn watch(&self, is_watched: bool) {
        self.is_watched.store(is_watched, SeqCst);
    }

    /// How many wait, and how many who let them go first, with those who have given up.
    pub(super) fn len(&self) -> (usize, usize) {
        let line = self.lock();
        (line.waiting.len(), line.tried.len())
    }

    /// Those of either who have waited longest, and have not given up.
    pub(super) fn take(&self, are_tried: bool) -> Vec<Waiting> {
        let mut line = self.lock();
        let its = line.of(are_tried);
        let (mut taken, mut entries) = (Vec::new(), 0_u32);
        while taken.len() < MOST
            && !(are_tried && entries >= MOST_ENTRIES)
            && let Some(waiting) = its.pop_front()
        {
            if !waiting.answer.is_closed() {
                entries = entries.saturating_add(waiting.ask.entries());
                taken.push(waiting);
            }
        }
        taken
    }

    /// They go on waiting, before all others.
    pub(super) fn put_back(&self, first: impl DoubleEndedIterator<Item = Waiting>) {
        let mut line = self.lock();
        let mut is_any = false;
        for waiting in first.rev() {
            line.of(waiting.ask.is_tried).push_front(waiting);
            is_any = true;
        }
        drop(line);
        if is_any {
            self.wake.notify_one();
        }
    }

    /// Nobody is called any more, for that reason.
    pub(super) fn send_away(&self, cause: StoreError) {
        let line = mem::take(&mut *self.lock());
        line.waiting.into_iter().chain(line.tried).for_each(|one| one.fail(Failed::Off(cause)));
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Each change of it is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key, Quota, RedisLog,
        store::{Bucket, Charge, Operation},
    };

    type Answer = oneshot::Receiver<Result<Outcome, Failed>>;

    fn join(queue: &Arc<Queue>, cost: u32, is_tried: bool) -> Answer {
        let quota = Quota::new(10_000, std::time::Duration::from_secs(60)).unwrap();
        let key = Key::global();
        let charge = Charge::new(Bucket::new("p", 0, &key), quota, cost);
        let charges = [Charge { is_tried, ..charge }];
        let ask = Ask::new("test", RedisLog::Packed, Operation::Check, &charges);
        let (answer, answered) = oneshot::channel();
        queue.join(Waiting { ask: Arc::new(ask), is_alone: false, until: Instant::now(), answer });
        answered
    }

    #[test]
    fn so_many_are_taken_of_those_who_have_not_given_up() {
        let queue = Arc::<Queue>::default();
        for given_up in [0, 1, 100, 5_000] {
            (0..given_up).for_each(|_| drop(join(&queue, 10_000, false)));
            let wait: Vec<_> = (0..40).map(|_| join(&queue, 10_000, false)).collect();
            assert_eq!(queue.take(false).len(), MOST);
            assert_eq!(queue.take(false).len(), 40 - MOST);
            assert!(queue.take(false).is_empty() && wait.len() == 40);
        }
    }

    #[test]
    fn of_what_nobody_waits_for_little_is_taken_at_once() {
        let queue = Arc::<Queue>::default();
        drop(join(&queue, 10_000, true));
        let _wait: Vec<_> = [1, 499, 1, 10_000, 2].map(|cost| join(&queue, cost, true)).into();
        let _enforced = join(&queue, 1, false);
        assert_eq!(queue.len(), (1, 6));
        for expected in [2, 2, 1, 0] {
            assert_eq!(queue.take(true).len(), expected);
        }
        let taken = queue.take(false);
        assert_eq!(taken.len(), 1);
        // Each goes back to where it was.
        queue.put_back(taken.into_iter());
        assert_eq!(queue.len(), (1, 0));
    }
}
