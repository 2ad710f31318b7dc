//! What is kept for a bucket, and the decision over it, whatever the algorithm.

use std::time::Duration;

use super::{
    Micros, fixed_window::Counter, sliding_window::Log, sliding_window_counter::Counters,
    token_bucket::Debt,
};
use crate::{Algorithm, Quota, level::Level};

/// So many units of another algorithm come to a log, or as many as it admits, if that is more.
const MOST_COME_AT_ONCE: u32 = 10_000;

/// One algorithm's way of counting. The default is a bucket from which nothing was taken.
pub(crate) trait Step: Default {
    /// Comes to `now`: what is over is no longer counted, and if the clock was set back, what lies in its future
    /// counts from now on.
    fn settle(&mut self, quota: Quota, now: Micros);

    /// How many units count.
    fn used(&self, quota: Quota) -> u32;

    /// How long it takes until so many more have room; at least one and at most the quota's capacity.
    fn until_room(&self, quota: Quota, now: Micros, units: u32) -> Micros;

    /// Counts so many, whether they have room or not.
    fn add(&mut self, quota: Quota, now: Micros, units: u32);

    /// No longer counts so many of what was taken then, as far as they still count.
    fn give_back(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros);

    /// Forgets what was counted. What was taken up to now can't be given back any more.
    fn reset(&mut self, _now: Micros) {
        *self = Self::default();
    }

    /// From when on the state says nothing.
    fn expires_at(&self, quota: Quota) -> Micros;
}

/// What is kept for a bucket, by the algorithm that it was last counted with.
pub(crate) enum State {
    SlidingWindow(Log),
    SlidingWindowCounter(Counters),
    FixedWindow(Counter),
    TokenBucket(Debt),
}

/// Does the same to whichever it is.
macro_rules! each {
    ($state:expr, $it:ident => $what:expr) => {
        match $state {
            State::SlidingWindow($it) => $what,
            State::SlidingWindowCounter($it) => $what,
            State::FixedWindow($it) => $what,
            State::TokenBucket($it) => $what,
        }
    };
}

impl State {
    /// Nothing taken.
    pub(crate) fn empty(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::SlidingWindow => Self::SlidingWindow(Log::default()),
            Algorithm::SlidingWindowCounter => Self::SlidingWindowCounter(Counters::default()),
            Algorithm::FixedWindow => Self::FixedWindow(Counter::default()),
            Algorithm::TokenBucket => Self::TokenBucket(Debt::default()),
        }
    }

    /// Comes to `now` under this quota.
    ///
    /// If the algorithm is another than before, the state is of the new one from then on, also if nothing is admitted:
    /// or the wait would begin anew each time.
    pub(crate) fn settle(&mut self, quota: Quota, now: Micros) {
        if self.algorithm() != quota.algorithm() {
            *self = self.counted_as(quota, now);
        }
        each!(self, state => state.settle(quota, now));
    }

    /// How long it takes until so many more units have room; `None` if they never have. Of a settled state.
    pub(crate) fn until_room(&self, quota: Quota, now: Micros, units: u32) -> Option<Micros> {
        match units {
            0 => Some(0),
            _ if units > quota.max_cost() => None,
            _ => Some(each!(self, state => state.until_room(quota, now, units))),
        }
    }

    /// Counts so many units. Of a settled state.
    pub(crate) fn add(&mut self, quota: Quota, now: Micros, units: u32) {
        // Beyond the capacity it makes no difference to a log: all of them leave at the same moment.
        let units = match self {
            Self::SlidingWindow(_) => units.min(quota.capacity()),
            _ => units,
        };
        self.add_all(quota, now, units);
    }

    fn add_all(&mut self, quota: Quota, now: Micros, units: u32) {
        if units > 0 {
            each!(self, state => state.add(quota, now, units));
        }
    }

    /// Gives back so many units of what was taken then, unless they are counted by another algorithm by now.
    pub(crate) fn give_back(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros) {
        if self.algorithm() == quota.algorithm() {
            each!(self, state => state.give_back(quota, now, units, taken_at));
        }
    }

    pub(crate) fn reset(&mut self, now: Micros) {
        each!(self, state => state.reset(now));
    }

    /// Whether nothing counts. Of a settled state.
    pub(crate) fn is_empty(&self, quota: Quota) -> bool {
        each!(self, state => state.used(quota) == 0)
    }

    /// What there is to say of a settled state to somebody who asks for so many units.
    pub(crate) fn level(&self, quota: Quota, now: Micros, units: u32) -> Level {
        let used = each!(self, state => state.used(quota));
        let remaining = quota.capacity().saturating_sub(used);
        let reset = match used {
            0 => 0,
            _ => each!(self, state => state.until_room(quota, now, remaining + 1)),
        };
        Level {
            remaining,
            reset_after: Duration::from_micros(reset),
            retry_after: self.until_room(quota, now, units).map(Duration::from_micros),
        }
    }

    /// The same without a change that anybody could see later.
    pub(crate) fn peek(&mut self, quota: Quota, now: Micros, units: u32) -> Level {
        let mut copy = match self {
            Self::SlidingWindow(log) if quota.algorithm() == Algorithm::SlidingWindow => {
                // Settling a log changes nothing in it, and a copy would be large.
                log.settle(quota, now);
                return self.level(quota, now, units);
            }
            Self::SlidingWindow(_) => self.counted_as(quota, now),
            Self::SlidingWindowCounter(counters) => Self::SlidingWindowCounter(counters.clone()),
            Self::FixedWindow(counter) => Self::FixedWindow(counter.clone()),
            Self::TokenBucket(debt) => Self::TokenBucket(debt.clone()),
        };
        copy.settle(quota, now);
        copy.level(quota, now, units)
    }

    /// A state of the quota's algorithm, in which as many units count as in this one, as if they came now.
    ///
    /// Also those that are beyond the capacity, or they would be free when the limit is raised again. A log in Redis has an
    /// entry for each, so there is an end to that.
    fn counted_as(&mut self, quota: Quota, now: Micros) -> Self {
        let used = each!(self, state => {
            state.settle(quota, now);
            state.used(quota)
        });
        let mut counted = Self::empty(quota.algorithm());
        let most = match counted {
            Self::SlidingWindow(_) => quota.capacity().max(MOST_COME_AT_ONCE),
            _ => u32::MAX,
        };
        counted.add_all(quota, now, used.min(most));
        counted
    }

    pub(crate) fn expires_at(&self, quota: Quota) -> Micros {
        each!(self, state => state.expires_at(quota))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::SlidingWindow(_) => Algorithm::SlidingWindow,
            Self::SlidingWindowCounter(_) => Algorithm::SlidingWindowCounter,
            Self::FixedWindow(_) => Algorithm::FixedWindow,
            Self::TokenBucket(_) => Algorithm::TokenBucket,
        }
    }
}
