//! A circuit breaker stops the store calls to a server that does not reply. Without it, every check would wait until
//! its deadline.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::{StoreError, backoff::Backoff};

/// The number of consecutive failures after which the breaker opens.
const FAILURE_THRESHOLD: u32 = 5;
/// The maximum time between two probes of a server. A probe is a single check that tests whether the server replies
/// again. So the guard notices a recovery within about this time.
const MAX_BACKOFF: Duration = Duration::from_millis(250);
/// The delay before a probe of the server. The first delay is 50 ms, and each failed probe doubles the delay up to
/// the maximum. A random jitter of up to 20 % is added or subtracted.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), MAX_BACKOFF, 0.2);

/// A circuit breaker for one server of the store.
///
/// A closed breaker admits all checks, and an open breaker rejects all checks. After the backoff, an open breaker
/// admits a single check, the probe. A successful probe closes the breaker, and a failed probe doubles the backoff.
/// If the outcome of a probe is not recorded in time, the breaker admits another probe.
#[derive(Default)]
pub(super) struct Breaker {
    /// The number of failures since the last success or state change, whichever was later.
    failures: AtomicU32,
    is_open: AtomicBool,
    /// The number of state changes. The state changes when the breaker opens, closes, or admits a probe. If the
    /// breaker admitted a check before the last state change, the breaker ignores a failure of this check.
    generation: AtomicU64,
    open_state: Mutex<OpenState>,
}

struct OpenState {
    cause: StoreError,
    /// The earliest time at which the breaker admits the next probe.
    next_probe: Instant,
    backoff: Backoff,
}

impl Default for OpenState {
    fn default() -> Self {
        Self { cause: StoreError::Unreachable(None), next_probe: Instant::now(), backoff: BACKOFF }
    }
}

impl Breaker {
    /// Admits a check. The caller must record the outcome of the check within the time `lease`.
    ///
    /// # Errors
    ///
    /// Returns the cause of the last failure, if the breaker is open and it is too early for the next probe.
    pub(super) fn try_acquire(&self, lease: Duration) -> Result<BreakerPermit<'_>, StoreError> {
        self.try_acquire_at(lease, Instant::now)
    }

    fn try_acquire_at(
        &self,
        lease: Duration,
        now: impl Fn() -> Instant,
    ) -> Result<BreakerPermit<'_>, StoreError> {
        let permit = |is_probe| BreakerPermit {
            breaker: self,
            generation: self.generation.load(Relaxed),
            is_probe,
        };
        if !self.is_open.load(Relaxed) {
            return Ok(permit(false));
        }
        let mut state = self.lock();
        let now = now();
        if !self.is_open.load(Relaxed) {
            return Ok(permit(false));
        }
        if now < state.next_probe {
            return Err(state.cause);
        }
        state.next_probe = now + lease + MAX_BACKOFF;
        self.generation.fetch_add(1, Relaxed);
        Ok(permit(true))
    }

    /// Whether the breaker is open. The result is also true if the breaker would admit the next check as a probe.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Returns the error with which the breaker would reject a check now. `None` if the breaker would admit the
    /// check, because the breaker is closed or the check would be a probe.
    pub(super) fn open_cause(&self) -> Option<StoreError> {
        if !self.is_open() {
            return None;
        }
        let state = self.lock();
        (Instant::now() < state.next_probe).then_some(state.cause)
    }

    fn lock(&self) -> MutexGuard<'_, OpenState> {
        // The code under this lock only assigns independent fields. So the state is consistent even if a panic has
        // poisoned the lock.
        self.open_state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permit that the breaker gives to an admitted check. If a permit is dropped without an outcome, the breaker
/// counts neither a success nor a failure.
pub(super) struct BreakerPermit<'a> {
    breaker: &'a Breaker,
    /// The number of state changes of the breaker at the time when it admitted the check.
    generation: u64,
    is_probe: bool,
}

impl BreakerPermit<'_> {
    /// Records the outcome of the check.
    pub(super) fn record<T>(self, result: &Result<T, StoreError>) {
        self.record_at(result, Instant::now());
    }

    fn record_at<T>(mut self, result: &Result<T, StoreError>, now: Instant) {
        match result {
            Err(cause) if is_server_failure(*cause) => self.record_failure(*cause, now),
            // An error that does not concern the whole server shows that the server replies. So the breaker counts
            // this error as a success.
            _ => self.record_success(),
        }
        self.is_probe = false;
    }

    fn record_success(&self) {
        let breaker = self.breaker;
        if breaker.failures.load(Relaxed) != 0 {
            breaker.failures.store(0, Relaxed);
        }
        if breaker.is_open.load(Relaxed) {
            // Any successful check closes the breaker, even if the check is not a probe, because the success shows
            // that the server replies again.
            let mut state = breaker.lock();
            *state = OpenState::default();
            breaker.generation.fetch_add(1, Relaxed);
            breaker.is_open.store(false, Relaxed);
        }
    }

    fn record_failure(&self, cause: StoreError, now: Instant) {
        let breaker = self.breaker;
        if breaker.generation.load(Relaxed) != self.generation {
            // The breaker admitted the check before the last state change, so the failure does not show the current
            // state of the server.
            return;
        }
        if !self.is_probe && breaker.failures.fetch_add(1, Relaxed) + 1 < FAILURE_THRESHOLD {
            return;
        }
        let mut state = breaker.lock();
        if breaker.generation.load(Relaxed) != self.generation {
            return;
        }
        state.cause = cause;
        state.next_probe = now + state.backoff.next_delay();
        breaker.failures.store(0, Relaxed);
        breaker.generation.fetch_add(1, Relaxed);
        breaker.is_open.store(true, Relaxed);
    }
}

impl Drop for BreakerPermit<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            // The probe was cancelled, so the next check becomes the probe.
            let mut state = self.breaker.lock();
            if self.breaker.generation.load(Relaxed) == self.generation {
                state.next_probe = Instant::now();
            }
        }
    }
}

/// Returns true if the check, the guard or the runtime of the caller caused the error. The store may then be healthy.
pub(super) fn is_request_specific(cause: StoreError) -> bool {
    matches!(
        cause,
        StoreError::CrossSlot
            | StoreError::Overloaded
            | StoreError::Closed
            | StoreError::PausedClock
    )
}

/// Whether an error with this cause means that all checks on the server fail. Errors with other causes concern only
/// some of the checks, or only this process.
fn is_server_failure(cause: StoreError) -> bool {
    match cause {
        StoreError::Timeout
        | StoreError::Unreachable(_)
        | StoreError::Disconnected(_)
        | StoreError::Authentication
        | StoreError::NotReady(_)
        | StoreError::NoPrimary
        | StoreError::Throttled
        | StoreError::Busy
        | StoreError::UnknownCommand
        | StoreError::Database
        | StoreError::WrongServerKind
        | StoreError::Forked
        | StoreError::Other(_) => true,
        // Each of these causes concerns only one key, one cluster slot, writes, or this process. So other checks may
        // succeed.
        StoreError::Permission
        | StoreError::OutOfMemory
        | StoreError::Cluster
        | StoreError::CrossSlot
        | StoreError::Overloaded
        | StoreError::InvalidReply
        | StoreError::ForeignValue
        | StoreError::Closed
        | StoreError::PausedClock => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Result<(), StoreError> = Err(StoreError::Timeout);
    const SUCCESS: Result<(), StoreError> = Ok(());

    const LEASE: Duration = Duration::from_millis(100);

    fn acquire(breaker: &Breaker, now: Instant) -> Result<BreakerPermit<'_>, StoreError> {
        breaker.try_acquire_at(LEASE, || now)
    }

    fn open_breaker(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..FAILURE_THRESHOLD {
            acquire(&breaker, now).unwrap().record_at(&FAILURE, now);
        }
        breaker
    }

    #[test]
    fn breaker_opens_only_after_consecutive_server_failures() {
        let now = Instant::now();
        let breaker = Breaker::default();
        for _ in 0..100 {
            for _ in 1..FAILURE_THRESHOLD {
                acquire(&breaker, now).unwrap().record_at(&FAILURE, now);
            }
            acquire(&breaker, now).unwrap().record_at(&SUCCESS, now);
        }
        // An error for one key is not a failure of the server, so the breaker stays closed.
        for _ in 0..100 {
            let permit = acquire(&breaker, now).unwrap();
            permit.record_at::<()>(&Err(StoreError::InvalidReply), now);
        }
        assert!(acquire(&breaker, now).is_ok());
        let breaker = open_breaker(now);
        assert_eq!(acquire(&breaker, now).err(), Some(StoreError::Timeout));
        assert_eq!(breaker.open_cause(), Some(StoreError::Timeout));
    }

    #[test]
    fn one_check_probes_after_each_backoff_and_success_closes() {
        let mut now = Instant::now();
        let breaker = open_breaker(now);
        // The backoffs in milliseconds, each with the maximum jitter of 20 %.
        for backoff in [60, 120, 240, 300, 300] {
            now += Duration::from_millis(backoff);
            let probe = acquire(&breaker, now).unwrap();
            assert!((0..100).all(|_| acquire(&breaker, now).is_err()), "only one probe");
            probe.record_at(&FAILURE, now);
            assert!(acquire(&breaker, now).is_err());
        }
        now += Duration::from_millis(300);
        acquire(&breaker, now).unwrap().record_at(&SUCCESS, now);
        assert!((0..100).all(|_| acquire(&breaker, now).is_ok()));
        assert_eq!(breaker.open_cause(), None);
    }

    #[test]
    fn cancelled_probe_is_replaced_by_the_next_check() {
        let now = Instant::now();
        let breaker = open_breaker(now);
        drop(acquire(&breaker, now + LEASE).unwrap());
        let probe = acquire(&breaker, Instant::now() + LEASE).unwrap();
        assert!(acquire(&breaker, now + LEASE).is_err());
        probe.record_at(&SUCCESS, now);
        assert!(acquire(&breaker, now).is_ok());
    }

    #[test]
    fn probe_without_outcome_is_replaced_and_then_ignored() {
        let now = Instant::now();
        let breaker = open_breaker(now);
        let lost = acquire(&breaker, now + LEASE).unwrap();
        let later = now + 2 * LEASE + MAX_BACKOFF;
        let next = acquire(&breaker, later).unwrap();
        assert!(acquire(&breaker, later).is_err(), "only one probe");
        lost.record_at(&FAILURE, later);
        assert!(acquire(&breaker, later).is_err(), "still only one probe");
        next.record_at(&SUCCESS, later);
        assert!(acquire(&breaker, later).is_ok());
        // The breaker also ignores the late failure of a probe after another probe has closed the breaker.
        let breaker = open_breaker(now);
        let lost = acquire(&breaker, now + LEASE).unwrap();
        acquire(&breaker, later).unwrap().record_at(&SUCCESS, later);
        lost.record_at(&FAILURE, later);
        assert!((0..100).all(|_| acquire(&breaker, later).is_ok()));
    }

    #[test]
    fn late_failures_are_ignored_and_late_success_closes() {
        let now = Instant::now();
        let breaker = Breaker::default();
        let all: Vec<_> = (0..1_000).map(|_| acquire(&breaker, now).unwrap()).collect();
        for permit in all {
            permit.record_at(&FAILURE, now);
        }
        assert!(acquire(&breaker, now + Duration::from_millis(60)).is_ok());
        // The success of a check closes the breaker even if the check started before the breaker opened.
        let breaker = Breaker::default();
        let [slow, others @ ..] =
            [(); FAILURE_THRESHOLD as usize + 1].map(|()| acquire(&breaker, now).unwrap());
        for permit in others {
            permit.record_at(&FAILURE, now);
        }
        slow.record_at(&SUCCESS, now);
        assert!(acquire(&breaker, now).is_ok());
    }

    #[test]
    fn failures_before_the_last_change_do_not_reopen() {
        let now = Instant::now();
        let breaker = Breaker::default();
        let mut old: Vec<_> = (0..20).map(|_| acquire(&breaker, now).unwrap()).collect();
        for permit in old.drain(..FAILURE_THRESHOLD as usize) {
            permit.record_at(&FAILURE, now);
        }
        acquire(&breaker, now + LEASE).unwrap().record_at(&SUCCESS, now);
        for permit in old {
            permit.record_at(&FAILURE, now);
        }
        acquire(&breaker, now).unwrap().record_at(&FAILURE, now);
        assert!(acquire(&breaker, now).is_ok());
    }

    #[test]
    fn concurrent_checks_get_one_probe() {
        let breaker = open_breaker(Instant::now());
        let later = Instant::now() + Duration::from_secs(1);
        for _ in 0..200 {
            let probes: Vec<_> = std::thread::scope(|scope| {
                let acquire = || acquire(&breaker, later).ok();
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(acquire)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(probes.len(), 1);
            for probe in probes {
                probe.record_at(&FAILURE, later - Duration::from_secs(2));
            }
        }
    }
}
