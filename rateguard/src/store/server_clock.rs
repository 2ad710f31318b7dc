//! What time it is on the server, as far as its answers tell.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How long an estimate is kept if no better one comes: clocks differ in speed, too.
const KEPT: Duration = Duration::from_secs(10);
/// After so long without an answer, nothing is known any more.
const KNOWN: Duration = Duration::from_secs(60);

/// The server's clock, never behind it: a server that believes it does not call anybody late who is not.
pub(super) struct ServerClock {
    start: Instant,
    /// How far the server's clock is ahead of the time since `start`, in microseconds, at the most; and since when that is
    /// known, 0 if it is not. One may be read with the other of another answer, which is as true.
    ahead: AtomicI64,
    since: AtomicI64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), ahead: AtomicI64::new(0), since: AtomicI64::new(0) }
    }

    /// The server said that it was `now`, in microseconds since 1970, in answer to what was sent at `sent` or later. If it
    /// said so because it found that late, what was known before is not true any more.
    pub(super) fn heard(&self, now: i64, sent: Instant, was_late: bool) {
        let sent = self.micros(sent);
        // It said so after that, so its clock is behind this by what the question took.
        let ahead = now.saturating_sub(sent);
        let is_old = sent.saturating_sub(self.since.load(Relaxed)) > micros(KEPT);
        if was_late || is_old || self.since.load(Relaxed) == 0 || ahead < self.ahead.load(Relaxed) {
            self.ahead.store(ahead, Relaxed);
            self.since.store(sent.max(1), Relaxed);
        }
    }

    /// A point in time on the server, or 0 if it is not known.
    pub(super) fn at(&self, time: Instant) -> i64 {
        let (since, time) = (self.since.load(Relaxed), self.micros(time));
        if since == 0 || time.saturating_sub(since) > micros(KNOWN) {
            return 0;
        }
        time.saturating_add(self.ahead.load(Relaxed)).max(0)
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
    fn it_is_never_behind_the_server_and_little_before_it() {
        let clock = ServerClock::new();
        let at = |millis| clock.start + Duration::from_millis(millis);
        let of_server = |local: u64| 1_700_000_000_000_000 + i64::try_from(local * 1_000).unwrap();
        assert_eq!(clock.at(at(5)), 0);
        // Sent at 10 ms, answered by the server at 100 ms.
        clock.heard(of_server(100), at(10), false);
        assert_eq!(clock.at(at(110)), of_server(200));
        // An answer that took less is better, and is not forgotten for one that took more.
        clock.heard(of_server(202), at(200), false);
        clock.heard(of_server(390), at(300), false);
        assert_eq!(clock.at(at(400)), of_server(402));
        // After a while it is, as clocks differ in speed.
        clock.heard(of_server(20_050), at(20_000), false);
        assert_eq!(clock.at(at(20_100)), of_server(20_150));
        assert_eq!(clock.at(at(90_000)), 0);
    }

    #[test]
    fn a_clock_that_was_set_is_believed() {
        let clock = ServerClock::new();
        let (start, hour) = (clock.start, 3_600_000_000);
        let now = 1_700_000_000_000_000;
        clock.heard(now, start, false);
        clock.heard(now - hour, start, false);
        assert_eq!(clock.at(start), now - hour);
        clock.heard(now, start, false);
        assert_eq!(clock.at(start), now - hour);
        clock.heard(now, start, true);
        assert_eq!(clock.at(start), now);
    }
}
