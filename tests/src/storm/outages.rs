//! When a server may be without answers of Redis: during a real fault, and until it has reconnected. Load is no fault.

use super::{
    schedule::Fault,
    verdict::{Happened, History},
};

/// A fault, and when it was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPeriod {
    /// Which one.
    pub fault: Fault,
    /// Whether it keeps servers from answers of Redis.
    pub is_outage: bool,
    /// When it began, in microseconds since 1970.
    pub from: u64,
    /// When it was over.
    pub until: u64,
}

/// From an answer until all threads of the server know that there are answers again, in microseconds.
const SLACK: u64 = 100_000;

/// When one server may be without answers.
#[derive(Debug)]
pub struct Outages(Vec<(u64, u64)>);

impl Outages {
    /// From what happened to Redis and the network, and when the server had answers again.
    #[must_use]
    pub fn of(history: &History, happened: &Happened) -> Self {
        let answers = Answers::of(history);
        let faults = happened.faults.iter().filter(|period| {
            period.is_outage && (history.is_proxied || !period.fault.is_of_the_way())
        });
        let faults = faults.map(|period| (period.from, period.until));
        // It begins without a connection.
        let start = (0, 0);
        let all = faults.chain(history.stalls.iter().copied()).chain([start]);
        let until_answered =
            |(from, until)| (from, answers.first_after(until).saturating_add(SLACK));
        Self(all.map(until_answered).collect())
    }

    /// Whether there was one at any time between these two.
    #[must_use]
    pub fn overlap(&self, from: u64, until: u64) -> bool {
        self.0.iter().any(|(begin, end)| *begin <= until && from <= *end)
    }
}

/// When the answered checks of a server began, and the earliest end of those that began then or later.
struct Answers(Vec<(u64, u64)>);

impl Answers {
    fn of(history: &History) -> Self {
        let answered = history.asked.iter().filter(|asked| asked.said.is_some());
        let mut answers: Vec<_> = answered.map(|asked| (asked.began, asked.ended)).collect();
        answers.sort_unstable();
        let mut earliest = u64::MAX;
        for (_, ended) in answers.iter_mut().rev() {
            earliest = earliest.min(*ended);
            *ended = earliest;
        }
        Self(answers)
    }

    fn first_after(&self, time: u64) -> u64 {
        let place = self.0.partition_point(|(began, _)| *began < time);
        self.0.get(place).map_or(u64::MAX, |(_, ended)| *ended)
    }
}
