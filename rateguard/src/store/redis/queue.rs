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
    /// With so many, those who have given up are let go.
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
        Self { waiting: VecDeque::new(), full: MANY }
    }
}

impl Queue {
    pub(super) fn join(self: &Arc<Self>, waiting: Waiting) {
        let mut line = self.lock();
        line.waiting.push_back(waiting);
        if line.waiting.len() >= line.full {
            line.waiting.retain(|waiting| !waiting.answer.is_closed());
            line.full = MANY.max(2 * line.waiting.len());
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

    /// How many wait, with those who have given up.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Those who have waited longest, and have not given up.
    pub(super) fn take(&self) -> Vec<Waiting> {
        let mut line = self.lock();
        let waiting = std::iter::from_fn(|| line.waiting.pop_front());
        waiting.filter(|waiting| !waiting.answer.is_closed()).take(MOST).collect()
    }

    /// They go on waiting, before all others.
    pub(super) fn put_back(&self, first: impl DoubleEndedIterator<Item = Waiting>) {
        let mut line = self.lock();
        let before = line.waiting.len();
        first.rev().for_each(|waiting| line.waiting.push_front(waiting));
        let is_any = line.waiting.len() > before;
        drop(line);
        if is_any {
            self.wake.notify_one();
        }
    }

    /// Nobody is called any more, for that reason.
    pub(super) fn send_away(&self, cause: StoreError) {
        let waiting = mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(|one| one.fail(Failed::Off(cause)));
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Each change of it is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
