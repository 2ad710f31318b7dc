//! Keeps checks away from a store that does not answer, so that its silence costs nobody the deadline again and again.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{StoreError, jitter::jittered};

/// So many failures in a row, and nothing else between them, mean that the next check would fail, too.
const FAILURE_THRESHOLD: u32 = 5;
/// The first pause; it doubles with each probe that fails.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);
/// The longest pause, and so about the longest time for which a store that is back goes unnoticed.
const MAX_BACKOFF: Duration = Duration::from_millis(250);

/// A circuit breaker. Closed, it lets all checks through; open, none; and after a pause a single one, the probe, whose
/// outcome closes it or opens it for another pause. A probe that is not heard of in time is followed by another.
#[derive(Default)]
pub(super) struct Breaker {
    /// Failures since the last success or change.
    failures: AtomicU32,
    is_open: AtomicBool,
    /// Counts the changes, so that a check that was let through before one is not taken for one after it.
    changes: AtomicU64,
    open: Mutex<Open>,
}

struct Open {
    cause: StoreError,
    /// When the next check is let through.
    until: Instant,
    pause: Duration,
}

impl Default for Open {
    fn default() -> Self {
        Self { cause: StoreError::Unreachable, until: Instant::now(), pause: INITIAL_BACKOFF }
    }
}

impl Breaker {
    /// Lets a check through that will be heard of within `lease`, or says why not.
    pub(super) fn enter(&self, lease: Duration) -> Result<BreakerPermit<'_>, StoreError> {
        self.enter_at(lease, Instant::now)
    }

    fn enter_at(
        &self,
        lease: Duration,
        now: impl Fn() -> Instant,
    ) -> Result<BreakerPermit<'_>, StoreError> {
        let entered = |is_probe| BreakerPermit {
            breaker: self,
            change: self.changes.load(Relaxed),
            is_probe,
        };
        if !self.is_open.load(Relaxed) {
            return Ok(entered(false));
        }
        let mut open = self.lock();
        let now = now();
        if !self.is_open.load(Relaxed) {
            return Ok(entered(false));
        }
        if now < open.until {
            return Err(open.cause);
        }
        open.until = now + lease + MAX_BACKOFF;
        self.changes.fetch_add(1, Relaxed);
        Ok(entered(true))
    }

    /// Whether checks are kept away, but for probes.
    #[cfg(feature = "metrics")]
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Why checks are kept away now, if they are.
    pub(super) fn open(&self) -> Option<StoreError> {
        if !self.is_open.load(Relaxed) {
            return None;
        }
        let open = self.lock();
        (Instant::now() < open.until).then_some(open.cause)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Assignments cannot be left half done.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A check that was let through. If it is dropped without an outcome, it says nothing about the store.
pub(super) struct BreakerPermit<'a> {
    breaker: &'a Breaker,
    /// The change after which it was let through.
    change: u64,
    is_probe: bool,
}

impl BreakerPermit<'_> {
    /// Tells how it went.
    pub(super) fn record<T>(self, answer: &Result<T, StoreError>) {
        self.ended_at(answer, Instant::now());
    }

    fn ended_at<T>(mut self, answer: &Result<T, StoreError>, now: Instant) {
        match answer {
            Err(cause) if is_of_the_store(*cause) => self.failed(*cause, now),
            // It has answered, if only that these keys cannot be decided on.
            _ => self.succeeded(),
        }
        self.is_probe = false;
    }

    fn succeeded(&self) {
        let breaker = self.breaker;
        if breaker.failures.load(Relaxed) != 0 {
            breaker.failures.store(0, Relaxed);
        }
        if breaker.is_open.load(Relaxed) {
            // The store answers; whose check has found it out does not matter.
            let mut open = breaker.lock();
            *open = Open::default();
            breaker.changes.fetch_add(1, Relaxed);
            breaker.is_open.store(false, Relaxed);
        }
    }

    fn failed(&self, cause: StoreError, now: Instant) {
        let breaker = self.breaker;
        if breaker.changes.load(Relaxed) != self.change {
            // How the store was before says nothing about how it is since.
            return;
        }
        if !self.is_probe && breaker.failures.fetch_add(1, Relaxed) + 1 < FAILURE_THRESHOLD {
            return;
        }
        let mut open = breaker.lock();
        if breaker.changes.load(Relaxed) != self.change {
            return;
        }
        if self.is_probe {
            open.pause = (2 * open.pause).min(MAX_BACKOFF);
        }
        open.cause = cause;
        open.until = now + jittered(open.pause, 0.2);
        breaker.failures.store(0, Relaxed);
        breaker.changes.fetch_add(1, Relaxed);
        breaker.is_open.store(true, Relaxed);
    }
}

impl Drop for BreakerPermit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            // It was given up: the next check is one.
            let mut open = self.breaker.lock();
            if self.breaker.changes.load(Relaxed) == self.change {
                open.until = Instant::now();
            }
        }
    }
}

/// Whether other questions might be answered though this one is not.
pub(super) fn is_of_the_question(cause: StoreError) -> bool {
    matches!(
        cause,
        StoreError::CrossSlot
            | StoreError::Overloaded
            | StoreError::InvalidReply
            | StoreError::Closed
    )
}

/// Whether it is the store that fails, and not a key or we.
fn is_of_the_store(cause: StoreError) -> bool {
    match cause {
        StoreError::Timeout
        | StoreError::Unreachable
        | StoreError::Disconnected
        | StoreError::Authentication
        | StoreError::NotReady
        | StoreError::NoPrimary
        | StoreError::Throttled
        | StoreError::Busy => true,
        // Of one key or one slot, or of writes alone; or it is we who are busy.
        StoreError::Permission
        | StoreError::OutOfMemory
        | StoreError::Cluster
        | StoreError::CrossSlot
        | StoreError::Overloaded
        | StoreError::InvalidReply
        | StoreError::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Result<(), StoreError> = Err(StoreError::Timeout);
    const ALIVE: Result<(), StoreError> = Ok(());

    const LEASE: Duration = Duration::from_millis(100);

    fn enter(breaker: &Breaker, now: Instant) -> Result<BreakerPermit<'_>, StoreError> {
        breaker.enter_at(LEASE, || now)
    }

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURE_THRESHOLD {
            enter(&breaker, now).unwrap().ended_at(&DEAD, now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_no_others() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..100 {
            for _ in 1..FAILURE_THRESHOLD {
                enter(&breaker, now).unwrap().ended_at(&DEAD, now);
            }
            enter(&breaker, now).unwrap().ended_at(&ALIVE, now);
        }
        // What is wrong with one key is not wrong with the store.
        for _ in 0..100 {
            let entered = enter(&breaker, now).unwrap();
            entered.ended_at::<()>(&Err(StoreError::InvalidReply), now);
        }
        assert!(enter(&breaker, now).is_ok());
        let breaker = opened(now);
        assert_eq!(enter(&breaker, now).err(), Some(StoreError::Timeout));
        assert_eq!(breaker.open(), Some(StoreError::Timeout));
    }

    #[test]
    fn after_a_pause_one_check_is_the_probe_and_its_outcome_counts() {
        let mut now = Instant::now();
        let breaker = opened(now);
        for longest in [60, 120, 240, 300, 300] {
            let long = Duration::from_millis(longest);
            now += long;
            let probe = enter(&breaker, now).unwrap();
            assert!((0..100).all(|_| enter(&breaker, now).is_err()), "there is one");
            probe.ended_at(&DEAD, now);
            assert!(enter(&breaker, now).is_err());
        }
        now += Duration::from_millis(300);
        enter(&breaker, now).unwrap().ended_at(&ALIVE, now);
        assert!((0..100).all(|_| enter(&breaker, now).is_ok()));
        assert_eq!(breaker.open(), None);
    }

    #[test]
    fn a_probe_that_is_given_up_says_nothing() {
        let now = Instant::now();
        let breaker = opened(now);
        drop(enter(&breaker, now + LEASE).unwrap());
        let probe = enter(&breaker, Instant::now() + LEASE).unwrap();
        assert!(enter(&breaker, now + LEASE).is_err());
        probe.ended_at(&ALIVE, now);
        assert!(enter(&breaker, now).is_ok());
    }

    #[test]
    fn a_probe_that_nobody_hears_of_is_followed_by_another_and_counts_no_more() {
        let now = Instant::now();
        let breaker = opened(now);
        let lost = enter(&breaker, now + LEASE).unwrap();
        let later = now + 2 * LEASE + MAX_BACKOFF;
        let next = enter(&breaker, later).unwrap();
        assert!(enter(&breaker, later).is_err(), "there is one");
        lost.ended_at(&DEAD, later);
        assert!(enter(&breaker, later).is_err(), "there is still one");
        next.ended_at(&ALIVE, later);
        assert!(enter(&breaker, later).is_ok());
        // Nor does one that ends after others have succeeded.
        let breaker = opened(now);
        let lost = enter(&breaker, now + LEASE).unwrap();
        enter(&breaker, later).unwrap().ended_at(&ALIVE, later);
        lost.ended_at(&DEAD, later);
        assert!((0..100).all(|_| enter(&breaker, later).is_ok()));
    }

    #[test]
    fn checks_that_began_before_it_was_opened_change_nothing_by_failing() {
        let now = Instant::now();
        let breaker = Breaker::default();
        let all: Vec<_> = (0..1_000).map(|_| enter(&breaker, now).unwrap()).collect();
        for one in all {
            one.ended_at(&DEAD, now);
        }
        assert!(enter(&breaker, now + Duration::from_millis(60)).is_ok());
        // One that succeeds closes it.
        let breaker = Breaker::default();
        let [slow, others @ ..] =
            [(); FAILURE_THRESHOLD as usize + 1].map(|()| enter(&breaker, now).unwrap());
        for one in others {
            one.ended_at(&DEAD, now);
        }
        slow.ended_at(&ALIVE, now);
        assert!(enter(&breaker, now).is_ok());
    }

    #[test]
    fn old_failures_do_not_open_it_again() {
        let now = Instant::now();
        let breaker = Breaker::default();
        let mut old: Vec<_> = (0..20).map(|_| enter(&breaker, now).unwrap()).collect();
        for one in old.drain(..FAILURE_THRESHOLD as usize) {
            one.ended_at(&DEAD, now);
        }
        enter(&breaker, now + LEASE).unwrap().ended_at(&ALIVE, now);
        for one in old {
            one.ended_at(&DEAD, now);
        }
        enter(&breaker, now).unwrap().ended_at(&DEAD, now);
        assert!(enter(&breaker, now).is_ok());
    }

    #[test]
    fn of_many_threads_one_probes() {
        let breaker = opened(Instant::now());
        let later = Instant::now() + Duration::from_secs(1);
        for _ in 0..200 {
            let probes: Vec<_> = std::thread::scope(|scope| {
                let ask = || enter(&breaker, later).ok();
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(probes.len(), 1);
            for probe in probes {
                probe.ended_at(&DEAD, later - Duration::from_secs(2));
            }
        }
    }
}
