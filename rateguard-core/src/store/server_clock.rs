//! Estimates the current time on the clock of the server. The estimate uses the times in the replies of the server.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::clock::wall_clock;

/// If an estimate is older than this, the next reply replaces the estimate, even if the new estimate is less precise.
/// Old estimates become wrong because clocks drift.
const ESTIMATE_TTL: Duration = Duration::from_secs(10);
/// The maximum age at which an estimate is still used. In an older estimate, the drift of the clocks may be too
/// large.
const MAX_ESTIMATE_AGE: Duration = Duration::from_secs(60);

/// Holds an upper bound for the current time on the clock of the server. The estimated time is never earlier than the
/// real time of the server, so a deadline on this clock is never too early.
pub(super) struct ServerClock {
    start: Instant,
    /// The largest possible difference between the time on the clock of the server and the time since `start`, in
    /// microseconds.
    offset: AtomicI64,
    /// The time of the estimate, in microseconds since `start`; 0 if there is no estimate. Another thread may read
    /// this time together with the offset from a different reply. This is safe, because each offset is a valid
    /// estimate.
    estimated_at: AtomicI64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), offset: AtomicI64::new(0), estimated_at: AtomicI64::new(0) }
    }

    /// Updates the estimate with the time `now` in a reply, in microseconds since 1970. The request was sent at the
    /// time `sent` or later.
    ///
    /// `was_late` means that the server rejected the request as late. In this case the reply always replaces the
    /// estimate, because the estimate is wrong. For example, the clock of the server was set forward.
    pub(super) fn record_reply(&self, now: i64, sent: Instant, was_late: bool) {
        let sent = self.micros(sent);
        // The server read its clock after the request was sent, so the real offset is not larger than this value.
        let offset = now.saturating_sub(sent);
        let estimated_at = self.estimated_at.load(Relaxed);
        let is_old = sent.saturating_sub(estimated_at) > micros(ESTIMATE_TTL);
        if was_late || is_old || estimated_at == 0 || offset < self.offset.load(Relaxed) {
            self.offset.store(offset, Relaxed);
            self.estimated_at.store(sent.max(1), Relaxed);
        }
    }

    /// Converts a local time to a time on the clock of the server, in microseconds since 1970. Returns 0 if there is
    /// no estimate.
    pub(super) fn at(&self, time: Instant) -> i64 {
        let (estimated_at, time) = (self.estimated_at.load(Relaxed), self.micros(time));
        if estimated_at == 0 || time.saturating_sub(estimated_at) > micros(MAX_ESTIMATE_AGE) {
            return 0;
        }
        time.saturating_add(self.offset.load(Relaxed)).max(0)
    }

    /// Returns the current time on the clock of the server, in microseconds since 1970. If there is no estimate,
    /// returns the time of this process. If this time is so wrong that the calendar periods around it do not contain the time of
    /// the server, the script rejects the request as late.
    pub(super) fn now(&self) -> i64 {
        match self.at(Instant::now()) {
            0 => micros(wall_clock()),
            now => now,
        }
    }

    fn micros(&self, time: Instant) -> i64 {
        micros(time.saturating_duration_since(self.start))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimate_is_never_behind_the_server() {
        let clock = ServerClock::new();
        let at = |millis| clock.start + Duration::from_millis(millis);
        let of_server = |local: u64| 1_700_000_000_000_000 + i64::try_from(local * 1_000).unwrap();
        assert_eq!(clock.at(at(5)), 0);
        // The request is sent at 10 ms, and the server replies at 100 ms.
        clock.record_reply(of_server(100), at(10), false);
        assert_eq!(clock.at(at(110)), of_server(200));
        // A faster reply gives a more precise estimate. A slower reply does not replace the estimate.
        clock.record_reply(of_server(202), at(200), false);
        clock.record_reply(of_server(390), at(300), false);
        assert_eq!(clock.at(at(400)), of_server(402));
        // If the estimate is older than 10 s, even a slower reply replaces it, because clocks drift.
        clock.record_reply(of_server(20_050), at(20_000), false);
        assert_eq!(clock.at(at(20_100)), of_server(20_150));
        assert_eq!(clock.at(at(90_000)), 0);
    }

    #[test]
    fn estimate_follows_a_server_clock_that_was_set() {
        let clock = ServerClock::new();
        let (start, hour) = (clock.start, 3_600_000_000);
        let now = 1_700_000_000_000_000;
        clock.record_reply(now, start, false);
        clock.record_reply(now - hour, start, false);
        assert_eq!(clock.at(start), now - hour);
        clock.record_reply(now, start, false);
        assert_eq!(clock.at(start), now - hour);
        clock.record_reply(now, start, true);
        assert_eq!(clock.at(start), now);
    }
}
