//! Holds the state of a bucket for any of the algorithms, and decides requests with this state.

use std::time::Duration;

use super::{
    LimiterState, Micros, calendar::CalendarState, fixed_window::FixedWindowState,
    sliding_window::SlidingWindowLog, sliding_window_counter::SlidingWindowCounterState,
    token_bucket::TokenBucketState,
};
use crate::{Algorithm, Quota, bucket_status::BucketStatus};

/// When the state of another algorithm is converted to a log, the log gets at most this number of units. If the
/// capacity of the quota is larger, the log gets at most as many units as the capacity.
const MAX_CONVERTED_ENTRIES: u32 = 10_000;

/// The state of a bucket. The variant is the algorithm of the last quota that was applied to the bucket.
pub(crate) enum BucketState {
    SlidingWindow(SlidingWindowLog),
    SlidingWindowCounter(SlidingWindowCounterState),
    FixedWindow(FixedWindowState),
    TokenBucket(TokenBucketState),
    Calendar(CalendarState),
}

impl Default for BucketState {
    fn default() -> Self {
        Self::empty(Algorithm::default())
    }
}

/// Binds `$state` to the state of the current algorithm, and evaluates `$body` with it.
macro_rules! with_state {
    ($bucket:expr, $state:ident => $body:expr) => {
        match $bucket {
            BucketState::SlidingWindow($state) => $body,
            BucketState::SlidingWindowCounter($state) => $body,
            BucketState::FixedWindow($state) => $body,
            BucketState::TokenBucket($state) => $body,
            BucketState::Calendar($state) => $body,
        }
    };
}

impl BucketState {
    /// Returns the state of a bucket that has no units.
    pub(crate) fn empty(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::SlidingWindow => Self::SlidingWindow(SlidingWindowLog::default()),
            Algorithm::SlidingWindowCounter => {
                Self::SlidingWindowCounter(SlidingWindowCounterState::default())
            }
            Algorithm::FixedWindow => Self::FixedWindow(FixedWindowState::default()),
            Algorithm::TokenBucket => Self::TokenBucket(TokenBucketState::default()),
            Algorithm::Calendar => Self::Calendar(CalendarState::default()),
            // The permits of a bucket are a `PermitSet`. No quota with permits has a state of this type.
            Algorithm::Concurrency => Self::default(),
        }
    }

    /// Updates the state to the time `now` and to this quota. `to_unix` is the difference in microseconds between the
    /// time since 1970 and the time `now`. Only quotas with a calendar period use it.
    ///
    /// If the algorithm of the quota differs from the algorithm of the state, `settle` converts the state, even if
    /// the request is then denied. Otherwise each denied request would convert the old state again, as if the units
    /// were taken at the time of this request, and the wait would never end.
    pub(crate) fn settle(&mut self, quota: Quota, now: Micros, to_unix: i64) {
        if self.algorithm() != quota.algorithm() {
            *self = self.convert(quota, now);
        }
        match self {
            Self::Calendar(state) => state.settle_in_calendar(quota, now, to_unix),
            _ => with_state!(self, state => state.settle(quota, now)),
        }
    }

    /// Returns the time until `units` more units fit, or `None` if they never fit. Call `settle` first.
    pub(crate) fn wait_for(&self, quota: Quota, now: Micros, units: u32) -> Option<Micros> {
        match units {
            0 => Some(0),
            _ if units > quota.max_cost() => None,
            _ => Some(with_state!(self, state => state.wait_for(quota, now, units))),
        }
    }

    /// Adds the units to the bucket. Call `settle` first.
    pub(crate) fn add(&mut self, quota: Quota, now: Micros, units: u32) {
        // For one request, a log stores at most as many units as the capacity. Units above the capacity would not
        // change any wait, because all units of a request expire at the same time.
        let units = if self.algorithm().is_log() { units.min(quota.capacity()) } else { units };
        self.add_unclamped(quota, now, units);
    }

    fn add_unclamped(&mut self, quota: Quota, now: Micros, units: u32) {
        if units > 0 {
            with_state!(self, state => state.add(quota, now, units));
        }
    }

    /// Refunds units that were taken at `taken_at`. Does nothing if the algorithm of the state differs from the
    /// algorithm of the quota. In this case, the state was converted after the units were taken, and no longer has
    /// their times.
    pub(crate) fn refund(&mut self, quota: Quota, now: Micros, units: u32, taken_at: Micros) {
        if self.algorithm() == quota.algorithm() {
            with_state!(self, state => state.refund(quota, now, units, taken_at));
        }
    }

    pub(crate) fn reset(&mut self, now: Micros) {
        with_state!(self, state => state.reset(now));
    }

    /// Returns true if no unit of the bucket counts. Call `settle` first.
    pub(crate) fn is_empty(&self, quota: Quota) -> bool {
        with_state!(self, state => state.used(quota) == 0)
    }

    /// Returns the status of the bucket for a request that costs `units`. Call `settle` first.
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

    /// Returns the status of the bucket for a request that costs `units`. Changes nothing that a later request can
    /// observe. `to_unix` is that of [`settle`](Self::settle).
    pub(crate) fn peek(
        &mut self,
        quota: Quota,
        now: Micros,
        to_unix: i64,
        units: u32,
    ) -> BucketStatus {
        let mut copy = match self {
            Self::SlidingWindow(log) if quota.algorithm() == Algorithm::SlidingWindow => {
                // Call `settle` on the log itself, because a copy of a log may be large. `settle` removes no entry,
                // so later requests observe no change.
                log.settle(quota, now);
                return self.status(quota, now, units);
            }
            Self::SlidingWindow(_) => self.convert(quota, now),
            Self::SlidingWindowCounter(state) => Self::SlidingWindowCounter(state.clone()),
            Self::FixedWindow(state) => Self::FixedWindow(state.clone()),
            Self::TokenBucket(state) => Self::TokenBucket(state.clone()),
            Self::Calendar(state) => Self::Calendar(state.clone()),
        };
        copy.settle(quota, now, to_unix);
        copy.status(quota, now, units)
    }

    /// Converts the state to the algorithm of the quota. The number of units that count stays the same, but all of
    /// these units count as taken at the time `now`.
    ///
    /// Units above the capacity count too. Otherwise a client would get these units back when an operator raises the
    /// limit again. A log has an upper bound for the converted units, [`MAX_CONVERTED_ENTRIES`], because a log in
    /// Redis has one entry for each unit.
    fn convert(&mut self, quota: Quota, now: Micros) -> Self {
        let used = with_state!(self, state => {
            state.settle(quota, now);
            state.used(quota)
        });
        let mut converted = Self::empty(quota.algorithm());
        let max_units = match quota.algorithm().is_log() {
            true => quota.capacity().max(MAX_CONVERTED_ENTRIES),
            false => u32::MAX,
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
            Self::Calendar(_) => Algorithm::Calendar,
        }
    }
}
