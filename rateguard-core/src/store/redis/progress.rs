//! Detects whether a late reply is caused by the Redis server or by this process. A slow process sends requests late,
//! or reads replies late.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The maximum interval between two runs of the dispatcher, while batches are in flight.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// A server counts as backlogged (too many batches wait for its replies) if the oldest batch has no reply for two round
/// trips plus this time.
const BACKLOG_SLACK: Duration = Duration::from_millis(5);

/// Records when each batch without a reply was sent, and when the dispatcher ran.
pub(super) struct Progress {
    start: Instant,
    /// The server counts as silent if a batch has no reply for this time.
    silent_after: Duration,
    /// The server never counts as backlogged while the oldest batch without a reply is younger than this.
    backlog_after: Duration,
    /// The dispatcher counts as stalled if it has not run for this time. For example, the machine has too little CPU
    /// time.
    stalled_after: Duration,
    in_flight: Mutex<InFlightBatches>,
    /// The time at which the dispatcher last ran, in microseconds since `start`.
    last_run: AtomicU64,
    /// The time at which the last stall of the dispatcher ended, in microseconds since `start`. It is 0 if there was
    /// no stall.
    stall_ended: AtomicU64,
}

#[derive(Default)]
struct InFlightBatches {
    next: u64,
    sent_at: BTreeMap<u64, Instant>,
    shortest_round_trip: Option<Duration>,
}

/// A batch in flight. The batch counts as in flight until this value is dropped.
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

    /// Records that the dispatcher now sends a batch.
    pub(super) fn send(&self) -> BatchInFlight<'_> {
        let mut in_flight = self.lock();
        let number = in_flight.next;
        in_flight.next += 1;
        in_flight.sent_at.insert(number, Instant::now());
        BatchInFlight { progress: self, number }
    }

    /// Forgets the shortest round trip, because a new connection may lead to a different server.
    pub(super) fn reset_round_trip(&self) {
        self.lock().shortest_round_trip = None;
    }

    /// Returns true if the server has too many batches without a reply. In this case, requests should wait in the
    /// queue of this process. The queue serves all keys in turn, and a denial can complete other requests that are
    /// still in the queue. A request that was already sent has neither of these two advantages. If even more batches
    /// were sent, the server would also seem to be silent.
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

    /// Records that the dispatcher runs now. `was_due` means that the dispatcher should have run again within one
    /// [`TICK`], so a much longer time since the last run is a stall.
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

    /// Returns true if the oldest batch has no reply for nine tenths of the deadline, although the dispatcher had
    /// enough time to read replies. Otherwise the server is not the reason for a late reply: the request waits in the
    /// queue of this process, or its batch was sent recently.
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
        // After a stall, the dispatcher needs some time to send the requests in the queue and to read the replies.
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
        // The lock is never poisoned, because no code panics while it holds the lock.
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
        // With a round trip of 30 ms, a batch without a reply for 60 ms is not a sign of a backlog.
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
        // The dispatcher has not run for 180 ms, so the missing reply does not mean that the server is silent.
        assert!(!progress.is_silent_at(at(200)));
        // The dispatcher runs again, but it has not yet had enough time to read replies.
        runs_until(&progress, 200, 210);
        assert!(!progress.is_silent_at(at(210)));
        // The dispatcher has now had enough time to read replies, but no reply has arrived.
        runs_until(&progress, 220, 230);
        assert!(progress.is_silent_at(at(230)));
    }
}
