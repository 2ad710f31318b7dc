//! Distinguishes a silent server from late replies that the load of this process causes.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// While batches are in flight, the dispatcher runs at least this often.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// The time beyond two round trips after which an unanswered batch counts as a backlog.
const BACKLOG_SLACK: Duration = Duration::from_millis(5);

/// The times of unanswered batches, and of the last runs of the dispatcher.
pub(super) struct Progress {
    start: Instant,
    /// A server that has left a batch unanswered for this long is silent.
    silent_after: Duration,
    /// The minimum age of the oldest unanswered batch for a backlog.
    backlog_after: Duration,
    /// A dispatcher that has not run for this long is stalled, for example because the machine lacks CPU.
    stalled_after: Duration,
    in_flight: Mutex<InFlightBatches>,
    /// The time of the last run of the dispatcher, in microseconds after `start`.
    last_run: AtomicU64,
    /// The time at which the last stall of the dispatcher ended, in microseconds after `start`; 0 if there was none.
    stall_ended: AtomicU64,
}

#[derive(Default)]
struct InFlightBatches {
    next: u64,
    sent_at: BTreeMap<u64, Instant>,
    shortest_round_trip: Option<Duration>,
}

/// A batch that is in flight until this is dropped.
pub(super) struct BatchInFlight<'a> {
    progress: &'a Progress,
    number: u64,
}

impl Progress {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            start: Instant::now(),
            silent_after: deadline * 9 / 10,
            backlog_after: deadline / 4,
            stalled_after: (deadline / 2).clamp(2 * TICK, 5 * TICK),
            in_flight: Mutex::default(),
            last_run: AtomicU64::new(0),
            stall_ended: AtomicU64::new(0),
        }
    }

    /// Records that a batch is sent now.
    pub(super) fn send(&self) -> BatchInFlight<'_> {
        let mut in_flight = self.lock();
        let number = in_flight.next;
        in_flight.next += 1;
        in_flight.sent_at.insert(number, Instant::now());
        BatchInFlight { progress: self, number }
    }

    /// Resets the shortest round trip for a new connection, which may be to another server.
    pub(super) fn reset_round_trip(&self) {
        self.lock().shortest_round_trip = None;
    }

    /// Whether the server has a backlog of batches. Requests should then wait in the queue of this process: there, a
    /// denial completes other requests, and keys are served in turn. In the server's backlog neither is possible, and
    /// with a long backlog the server would seem to be silent.
    pub(super) fn is_backlogged(&self) -> bool {
        self.is_backlogged_at(Instant::now())
    }

    fn is_backlogged_at(&self, now: Instant) -> bool {
        let in_flight = self.lock();
        let Some(oldest) = in_flight.sent_at.values().next() else { return false };
        let round_trip = in_flight.shortest_round_trip.unwrap_or_default();
        let limit = (2 * round_trip + BACKLOG_SLACK).max(self.backlog_after);
        now.saturating_duration_since(*oldest) > limit
    }

    /// Records a run of the dispatcher. `was_due` means that it should have run within a [`TICK`] after the last run.
    pub(super) fn record_run(&self, was_due: bool) {
        self.record_run_at(Instant::now(), was_due);
    }

    fn record_run_at(&self, now: Instant, was_due: bool) {
        let now = self.micros(now);
        let last = self.last_run.swap(now, Relaxed);
        if was_due && Duration::from_micros(now.saturating_sub(last)) > self.stalled_after {
            self.stall_ended.store(now, Relaxed);
        }
    }

    /// Whether the oldest batch is unanswered for nine tenths of the deadline, although the dispatcher has had time to
    /// read replies. If not, a late request waits in the queue of this process, or in a batch that was sent only
    /// recently.
    pub(super) fn is_silent(&self) -> bool {
        self.is_silent_at(Instant::now())
    }

    fn is_silent_at(&self, now: Instant) -> bool {
        let (oldest, round_trip) = {
            let in_flight = self.lock();
            let Some(oldest) = in_flight.sent_at.values().next().copied() else { return false };
            (oldest, in_flight.shortest_round_trip.unwrap_or_default())
        };
        let since = |micros: &AtomicU64| {
            Duration::from_micros(self.micros(now).saturating_sub(micros.load(Relaxed)))
        };
        // After a stall, the dispatcher needs a moment to send what it has queued and to read replies.
        let stall_is_over = self.stall_ended.load(Relaxed) == 0
            || since(&self.stall_ended) >= 2 * TICK + 2 * round_trip;
        since(&self.last_run) <= self.stalled_after
            && stall_is_over
            && now.saturating_duration_since(oldest) >= self.silent_after
    }

    fn micros(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, InFlightBatches> {
        // No code panics while it holds the lock.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BatchInFlight<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.progress.lock();
        if let Some(sent_at) = in_flight.sent_at.remove(&self.number) {
            let round_trip = sent_at.elapsed();
            let shortest = in_flight.shortest_round_trip.get_or_insert(round_trip);
            *shortest = round_trip.min(*shortest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(100);

    fn runs_until(progress: &Progress, from: u64, until: u64) {
        for millis in (from..=until).step_by(10) {
            progress.record_run_at(progress.start + Duration::from_millis(millis), true);
        }
    }

    #[test]
    fn server_is_silent_after_unanswered_batch_of_almost_the_deadline() {
        let progress = Progress::new(DEADLINE);
        let at = |millis| Instant::now() + Duration::from_millis(millis);
        let batch = progress.send();
        runs_until(&progress, 0, 80);
        assert!(!progress.is_silent_at(at(80)));
        runs_until(&progress, 90, 100);
        assert!(progress.is_silent_at(at(100)));
        drop(batch);
        assert!(!progress.is_silent_at(at(100)));
    }

    #[test]
    fn backlog_threshold_depends_on_round_trip() {
        let progress = Progress::new(DEADLINE);
        let at = |millis| Instant::now() + Duration::from_millis(millis);
        assert!(!progress.is_backlogged());
        let _oldest = progress.send();
        drop(progress.send());
        assert!(!progress.is_backlogged_at(at(24)));
        assert!(progress.is_backlogged_at(at(26)));
        // A server that is 30 ms away has no backlog after 60 ms.
        progress.lock().shortest_round_trip = Some(Duration::from_millis(30));
        assert!(!progress.is_backlogged_at(at(60)));
        assert!(progress.is_backlogged_at(at(70)));
        progress.reset_round_trip();
        assert!(progress.is_backlogged_at(at(60)));
    }

    #[test]
    fn dispatcher_stall_is_not_a_silent_server() {
        let progress = Progress::new(DEADLINE);
        let at = |millis| Instant::now() + Duration::from_millis(millis);
        let _batch = progress.send();
        runs_until(&progress, 0, 20);
        // The dispatcher does not run.
        assert!(!progress.is_silent_at(at(200)));
        // It runs again, but has had no time to read replies.
        runs_until(&progress, 200, 210);
        assert!(!progress.is_silent_at(at(210)));
        // It has had time, and there are no replies.
        runs_until(&progress, 220, 230);
        assert!(progress.is_silent_at(at(230)));
    }
}
