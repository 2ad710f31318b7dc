//! What is kept for a bucket, and the decision over it, whatever the algorithm.

use std::time::Duration;

use super::{
    Micros, fixed_window::Counter, sliding_window::Log, sliding_window_counter::Counters,
    token_bucket::Debt,
};
use crate::{Algorithm, Decision, Quota};

/// One algorithm's way of counting. The default is a bucket from which nothing was taken.
pub(crate) trait Step: Default {
    /// Comes to `now`: what is over is no longer counted, and if the clock was set back, what lies in its future
    /// counts from now on.
    fn settle(&mut self, quota: Quota, now: Micros);

    /// How many requests count.
    fn used(&self, quota: Quota) -> u32;

    /// How long it takes until `places` more requests have room; at least one and at most the quota's capacity.
    fn until_room(&self, quota: Quota, now: Micros, places: u32) -> Micros;

    /// Counts this many requests, which have room.
    fn add(&mut self, quota: Quota, now: Micros, requests: u32);

    /// From when on the state says nothing.
    fn expires_at(&self, quota: Quota) -> Micros;

    /// Decides one request and, if it is admitted, counts it. A denial takes nothing.
    fn check(&mut self, quota: Quota, now: Micros) -> Decision {
        self.settle(quota, now);
        if self.used(quota) >= quota.capacity() {
            return Decision::denied(quota, Duration::from_micros(self.until_room(quota, now, 1)));
        }
        self.add(quota, now, 1);
        let remaining = quota.capacity().saturating_sub(self.used(quota));
        let reset = self.until_room(quota, now, remaining + 1);
        Decision::allowed(quota, remaining, Duration::from_micros(reset))
    }
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

    /// Decides one request and, if it is admitted, counts it.
    ///
    /// If the algorithm is another than before, the state is of the new one from then on, also after a denial: or the
    /// wait would begin anew with each.
    pub(crate) fn check(&mut self, quota: Quota, now: Micros) -> Decision {
        if self.algorithm() != quota.algorithm() {
            *self = self.counted_as(quota, now);
        }
        each!(self, state => state.check(quota, now))
    }

    /// A state of the quota's algorithm, in which as many requests count as in this one, as if they came now.
    fn counted_as(&mut self, quota: Quota, now: Micros) -> Self {
        let used = each!(self, state => {
            state.settle(quota, now);
            state.used(quota).min(quota.capacity())
        });
        let mut counted = Self::empty(quota.algorithm());
        if used > 0 {
            each!(&mut counted, state => state.add(quota, now, used));
        }
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
