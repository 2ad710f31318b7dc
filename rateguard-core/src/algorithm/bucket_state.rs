//! The state of a bucket for every algorithm, and the operations that decide requests.

use std::time::Duration;

use super::{
    LimiterState, Micros, fixed_window::FixedWindowState, sliding_window::SlidingWindowLog,
    sliding_window_counter::SlidingWindowCounterState, token_bucket::TokenBucketState,
};
use crate::{Algorithm, Quota, bucket_status::BucketStatus};

/// The maximum number of units that a conversion adds to a log. If the quota's capacity is larger, the capacity is the
/// maximum.
const MAX_CONVERTED_ENTRIES: u32 = 10_000;

/// The state of a bucket, in the format of the algorithm of its last quota.
pub(crate) enum BucketState {
    SlidingWindow(SlidingWindowLog),
    SlidingWindowCounter(SlidingWindowCounterState),
    FixedWindow(FixedWindowState),
    TokenBucket(TokenBucketState),
}

/// Evaluates an expression with the state, for any algorithm.
macro_rules! with_state {
    ($bucket:expr, $state:ident => $body:expr) => {
        match $bucket {
            BucketState::SlidingWindow($state) => $body,
            BucketState::SlidingWindowCounter($state) => $body,
            BucketState::FixedWindow($state) => $body,
            BucketState::TokenBucket($state) => $body,
        }
    };
}

impl BucketState {
    /// Returns the state of a bucket without units.
    pub(crate) fn empty(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::SlidingWindow => Self::SlidingWindow(SlidingWindowLog::default()),
            Algorithm::SlidingWindowCounter => {
                Self::SlidingWindowCounter(SlidingWindowCounterState::default())
            }
            Algorithm::FixedWindow => Self::FixedWindow(FixedWindowState::default()),
            Algorithm::TokenBucket => Self::TokenBucket(TokenBucketState::default()),
        }
    }

    /// Updates the state to the time `now` and to this quota.
    ///
    /// If the quota has another algorithm, `settle` converts the state, also for a denial. Otherwise each denial would
    /// convert the old state again with the current time, and the wait would never end.
    pub(crate) fn settle(&mut self, quota: Quota, now: Micros) {
        if self.algorithm() != quota.algorithm() {
            *self = self.convert(quota, now);
        }
        with_state!(self, state => state.settle(quota, now));
    }

    /// Returns the time until `units` more fit, or `None` if they never fit. Call `settle` first.
    pub(crate) fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Option<Micros> {
        match units {
            0 => Some(0),
            _ if units > quota.max_cost() => None,
            _ => Some(with_state!(self, state => state.wait_for(quota, now, units))),
        }
    }

    /// Adds the units. Call `settle` first.
    pub(crate) fn add(&mut self, quota: Quota, now: Micros, units: u32) {
        // A log stores at most the capacity for one request. More units would change no wait, because all units of a
        // request expire at the same time.
        let units = match self {
            Self::SlidingWindow(_) => units.min(quota.capacity()),
            _ => units,
        };
        self.add_unclamped(quota, now, units);
    }

    fn add_unclamped(&mut self, quota: Quota, now: Micros, units: u32) {
        if units > 0 {
            with_state!(self, state => state.add(quota, now, units));
        }
    }

    /// Refunds units that were taken at `taken_at`. Does nothing if the state has another algorithm than the quota,
    /// because a conversion loses the times of the units.
    pub(crate) fn refund(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros) {
        if self.algorithm() == quota.algorithm() {
            with_state!(self, state => state.refund(quota, now, units, taken_at));
        }
    }

    pub(crate) fn reset(&mut self, now: Micros) {
        with_state!(self, state => state.reset(now));
    }

    /// Whether the bucket has no units that count. Call `settle` first.
    pub(crate) fn is_empty(&self, quota: Quota) -> bool {
        with_state!(self, state => state.used(quota) == 0)
    }

    /// Returns the status of the bucket for a request of `units`. Call `settle` first.
    pub(crate) fn status(&self, quota: Quota, now: Micros, units: u32) -> BucketStatus {
        let used = with_state!(self, state => state.used(quota));
        let remaining = quota.capacity().saturating_sub(used);
        let reset = match used {
            0 => 0,
            _ => with_state!(self, state => state.wait_for(quota, now, remaining + 1)),
        };
        BucketStatus {
            remaining,
            reset_after: Duration::from_micros(reset),
            retry_after: self.wait_for(quota, now, units).map(Duration::from_micros),
        }
    }

    /// Returns the status of the bucket for a request of `units`, without a change that a later request can observe.
    pub(crate) fn peek(&mut self, quota: Quota, now: Micros, units: u32) -> BucketStatus {
        let mut copy = match self {
            Self::SlidingWindow(log) if quota.algorithm() == Algorithm::SlidingWindow => {
                // A log may be large, so settle the log itself and not a copy. `settle` removes no entry, so later
                // requests observe no change.
                log.settle(quota, now);
                return self.status(quota, now, units);
            }
            Self::SlidingWindow(_) => self.convert(quota, now),
            Self::SlidingWindowCounter(state) => Self::SlidingWindowCounter(state.clone()),
            Self::FixedWindow(state) => Self::FixedWindow(state.clone()),
            Self::TokenBucket(state) => Self::TokenBucket(state.clone()),
        };
        copy.settle(quota, now);
        copy.status(quota, now, units)
    }

    /// Converts the state to the quota's algorithm. The same number of units count, as if they were taken now.
    ///
    /// Units beyond the capacity count too. Otherwise clients would get these units back if the limit is raised again.
    /// [`MAX_CONVERTED_ENTRIES`] bounds the units of a log, because a log in Redis has one entry for each unit.
    fn convert(&mut self, quota: Quota, now: Micros) -> Self {
        let used = with_state!(self, state => {
            state.settle(quota, now);
            state.used(quota)
        });
        let mut converted = Self::empty(quota.algorithm());
        let max_units = match converted {
            Self::SlidingWindow(_) => quota.capacity().max(MAX_CONVERTED_ENTRIES),
            _ => u32::MAX,
        };
        converted.add_unclamped(quota, now, used.min(max_units));
        converted
    }

    pub(crate) fn expires_at(&self, quota: Quota) -> Micros {
        with_state!(self, state => state.expires_at(quota))
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
