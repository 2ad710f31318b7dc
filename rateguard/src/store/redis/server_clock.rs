//! What time it is on the server, as far as its answers tell.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The server's clock, never behind it: a server that believes it does not call anybody late who is not.
pub(super) struct ServerClock {
    start: Instant,
    /// How far the server's clock is ahead of the time since `start`, in microseconds; 0 if it is not known.
    ahead: AtomicI64,
}

impl ServerClock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), ahead: AtomicI64::new(0) }
    }

    /// The server said that it was `now`, in microseconds since 1970, in answer to what was sent at `sent` or later.
    pub(super) fn heard(&self, now: i64, sent: Instant) {
        // It said so after that, so its clock is behind this by what the question took.
        self.ahead.store(now.saturating_sub(self.micros(sent)), Relaxed);
    }

    /// A point in time on the server, or 0 if none was heard of yet.
    pub(super) fn at(&self, time: Instant) -> i64 {
        match self.ahead.load(Relaxed) {
            0 => 0,
            ahead => self.micros(time).saturating_add(ahead).max(0),
        }
    }

    fn micros(&self, time: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        micros(time.saturating_duration_since(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_behind_the_server() {
        let clock = ServerClock::new();
        let (start, millis) = (clock.start, Duration::from_millis);
        assert_eq!(clock.at(start + millis(5)), 0);
        // Sent at 10 ms, answered by the server at 12 ms, heard at 15 ms.
        let of_server = |local: u64| 1_700_000_000_000_000 + i64::try_from(local * 1_000).unwrap();
        clock.heard(of_server(12), start + millis(10));
        assert_eq!(clock.at(start + millis(110)), of_server(112));
        // The server's clock is set back, or forward.
        clock.heard(of_server(12) - 3_600_000_000, start + millis(20));
        assert_eq!(clock.at(start + millis(20)), of_server(12) - 3_600_000_000);
    }
}
