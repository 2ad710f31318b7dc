//! Computes the periods in which Redis may be unavailable to a server. Such a period begins with a fault, and ends
//! when the server has received a reply after the fault. A high load does not count as a fault.

use super::evidence::{History, StoreEvents};

/// The maximum time in microseconds from a reply of Redis until all threads of the server use Redis again.
const SLACK: u64 = 100_000;
/// The same time after a fault that closes connections. Each worker and the thread that renews permits have a
/// connection of their own. A connection tries to connect again after at most 500 ms, plus at most a quarter of this at
/// random.
const SLACK_OF_CONNECTIONS: u64 = SLACK + 625_000;

/// The periods in which Redis may be unavailable to one server.
#[derive(Debug)]
pub struct UnavailablePeriods(Vec<(u64, u64)>);

impl UnavailablePeriods {
    /// Computes the periods from the faults, from the stalls, and from the replies that the server received.
    #[must_use]
    pub fn of(history: &History, events: &StoreEvents) -> Self {
        let replies = ReplyTimes::of(history);
        let faults = events.faults.iter().filter(|period| {
            period.blocks_redis
                && (history.is_proxied || !period.fault.is_network_fault())
                && period.server.is_none_or(|server| server == history.server)
        });
        let faults = faults.map(|period| {
            let closes_connections = period.fault.closes_connections();
            let slack = if closes_connections { SLACK_OF_CONNECTIONS } else { SLACK };
            (period.from, period.until, slack)
        });
        // A server starts without a connection, so Redis is unavailable until the first reply.
        let start = (0, 0, SLACK);
        let stalls = history.stalls.iter().map(|(from, until)| (*from, *until, SLACK));
        let all = faults.chain(stalls).chain([start]);
        let until_reply =
            |(from, until, slack)| (from, replies.first_after(until).saturating_add(slack));
        Self(all.map(until_reply).collect())
    }

    /// Returns whether a period overlaps the time from `from` to `until`.
    #[must_use]
    pub fn overlap(&self, from: u64, until: u64) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= until && from <= *end)
    }
}

/// For each call with a reply: the time at which the call began, and the earliest time at which this call or a later
/// call with a reply ended.
struct ReplyTimes(Vec<(u64, u64)>);

impl ReplyTimes {
    fn of(history: &History) -> Self {
        let with_reply = history.calls.iter().filter(|call| call.reply.is_some());
        let mut times: Vec<_> = with_reply.map(|call| (call.began, call.ended)).collect();
        times.sort_unstable();
        let mut earliest = u64::MAX;
        for (_, ended) in times.iter_mut().rev() {
            earliest = earliest.min(*ended);
            *ended = earliest;
        }
        Self(times)
    }

    fn first_after(&self, time: u64) -> u64 {
        let index = self.0.partition_point(|(began, _)| *began < time);
        self.0.get(index).map_or(u64::MAX, |(_, ended)| *ended)
    }
}
