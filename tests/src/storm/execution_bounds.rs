//! Determines how long after its end the store can still execute a call.

use std::time::Duration;

use super::history::StoreCall;

/// Determines the latest time at which the store can execute a call of one server. This time follows from the times
/// at which the server received replies, and from the longest duration of its calls.
#[derive(Debug)]
pub struct ExecutionBounds {
    /// The times at which the server received replies, sorted.
    replies: Vec<u64>,
    /// The duration of the slowest call, or the deadline if the deadline is longer. The server's estimate of the
    /// store's clock is wrong by at most this duration.
    slowest: u64,
    deadline: u64,
}

impl ExecutionBounds {
    /// For at least this duration in microseconds after a reply, a server can estimate the store's clock. The server
    /// itself uses a maximum of 60 seconds, and the difference is a safety margin.
    const CLOCK_ESTIMATE_LIFETIME: u64 = 50_000_000;

    /// Computes the bounds from all calls of the server.
    #[must_use]
    pub fn of(calls: &[StoreCall], deadline: Duration) -> Self {
        let deadline = deadline.as_micros() as u64;
        let with_reply = calls.iter().filter(|call| call.reply.is_some());
        let mut replies: Vec<u64> = with_reply.clone().map(|call| call.ended).collect();
        replies.sort_unstable();
        let took = with_reply.map(|call| call.ended.saturating_sub(call.began));
        Self { replies, slowest: took.max().unwrap_or(0).max(deadline), deadline }
    }

    /// Returns the latest time at which the store can execute the call; `u64::MAX` if there is no latest time.
    #[must_use]
    pub fn latest_execution(&self, call: &StoreCall) -> u64 {
        let before = self.replies.partition_point(|reply| *reply < call.began);
        let last = before.checked_sub(1).map(|index| self.replies[index]);
        // Without an estimate of the store's clock, the server cannot send an expiry time with the call. The store
        // may then execute the call at any later time.
        match last {
            Some(last) if call.began - last < Self::CLOCK_ESTIMATE_LIFETIME => {
                call.ended + self.deadline + self.slowest
            }
            _ => u64::MAX,
        }
    }
}
