//! Checks that a bucket did not admit more than its quota. Only units that the store took and confirmed with a reply
//! are counted, so each reported excess is certain.

use actix_rateguard::{Algorithm, Quota};

use super::buckets::Take;

/// The largest excess of a bucket, which is the number of units that the bucket admitted above its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// The number of units by which the admitted units exceed the limit.
    pub units: u64,
    /// The time at which the bucket reached this excess, in microseconds since 1970.
    pub at: u64,
}

impl Excess {
    fn max(self, units: u64, at: u64) -> Self {
        if units > self.units { Self { units, at } } else { self }
    }
}

/// Returns the largest number of units by which these takes exceed the quota. A take is a check that took units
/// from the bucket.
///
/// The takes must be sorted by time, and before the first take, no units of the bucket may be in use. `clock_error`
/// is the maximum error of the time between two takes, in microseconds. Because of this error, a bucket that refills
/// steadily may have refilled a part of a unit more.
#[must_use]
pub fn excess(quota: Quota, takes: &[Take], clock_error: u64) -> Excess {
    match quota.algorithm() {
        Algorithm::SlidingWindow => log_excess(quota, takes),
        Algorithm::FixedWindow => fixed_window_excess(quota, takes),
        Algorithm::TokenBucket => token_bucket_excess(quota, takes, clock_error),
        Algorithm::SlidingWindowCounter => counter_excess(quota, takes),
        Algorithm::Concurrency => unreachable!("a bucket with permits has no takes"),
        Algorithm::Calendar => unreachable!("no policy of a storm has a calendar period"),
    }
}

/// Returns the quota's window in microseconds and its capacity in units.
fn window_and_capacity(quota: Quota) -> (u64, u64) {
    (quota.window().as_micros() as u64, quota.capacity().into())
}

/// A sliding-window log counts a unit from the time `t` at which the unit is taken until `t + window`. At each time,
/// the sum of the counted units must not exceed the limit.
fn log_excess(quota: Quota, takes: &[Take]) -> Excess {
    let (window, limit) = window_and_capacity(quota);
    let mut excess = Excess::default();
    for (index, take) in takes.iter().enumerate() {
        let at = take.at;
        if takes.get(index + 1).is_some_and(|next| next.at == at) {
            // If several takes have the same time, the sum is checked only after the last of these takes, because
            // only then the sum includes all of them.
            continue;
        }
        let live = takes[..=index].iter().rev().take_while(|it| it.at + window > at);
        let used: u64 = live.map(|it| it.min_units(at)).sum();
        excess = excess.max(used.saturating_sub(limit), at);
    }
    excess
}

/// Checks three rules: fixed windows do not overlap, a window admits at most the limit, and the time of a take is
/// within the window that the store reported for it.
fn fixed_window_excess(quota: Quota, takes: &[Take]) -> Excess {
    let (window, limit) = window_and_capacity(quota);
    let mut excess = Excess::default();
    let (mut end, mut used) = (0, 0);
    for take in takes {
        if take.free_at != end {
            let overlaps = take.free_at < end + window;
            // If a window overlaps the previous window, the units of both windows are added up, as if they were one
            // window.
            used = if overlaps { used } else { 0 };
            end = take.free_at;
        }
        used += take.units;
        let is_within = take.at < end && take.at + window >= end;
        let beyond = if is_within { used.saturating_sub(limit) } else { take.units };
        excess = excess.max(beyond, take.at);
    }
    excess
}

/// At each time, the units that were taken must not exceed the burst plus the tokens that have been refilled until
/// that time.
fn token_bucket_excess(quota: Quota, takes: &[Take], clock_error: u64) -> Excess {
    let (window, capacity) = window_and_capacity(quota);
    let (window, limit) = (u128::from(window), u128::from(quota.limit()));
    let mut excess = Excess::default();
    // The number of missing tokens, multiplied by the window. In each microsecond, the refill reduces this product by
    // `limit`.
    let (mut missing, mut last) = (0_u128, 0);
    for take in takes {
        missing = missing.saturating_sub(u128::from(take.at - last) * limit);
        missing += u128::from(take.units) * window;
        last = take.at;
        let allowed = u128::from(capacity) * window + u128::from(clock_error) * limit;
        let beyond = missing.saturating_sub(allowed).div_ceil(window);
        excess = excess.max(beyond as u64, last);
    }
    excess
}

/// The units of the current window, plus the part of the previous window's units that still counts, must not
/// exceed the limit.
fn counter_excess(quota: Quota, takes: &[Take]) -> Excess {
    let (window, limit) = window_and_capacity(quota);
    let mut excess = Excess::default();
    let (mut number, mut previous, mut current) = (0, 0, 0);
    for take in takes {
        let own = take.at / window;
        if own != number {
            previous = if own == number + 1 { current } else { 0 };
            (number, current) = (own, 0);
        }
        current += take.units;
        let used = current + weighted(previous, take.at, window);
        excess = excess.max(used.saturating_sub(limit), take.at);
    }
    excess
}

/// Returns how many units of the previous window still count at the time `at`, rounded up.
#[must_use]
pub fn weighted(previous: u64, at: u64, window: u64) -> u64 {
    let left = u128::from(window - at % window);
    (u128::from(previous) * left).div_ceil(u128::from(window)) as u64
}
