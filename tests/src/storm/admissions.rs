//! Whether more was admitted of a bucket than its quota says, told from what was certainly taken.

use rateguard::{Algorithm, Quota};

use super::buckets::Taking;

/// How many units were too many, and when that was at its worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// How many.
    pub units: u64,
    /// When.
    pub at: u64,
}

impl Excess {
    fn worse(self, units: u64, at: u64) -> Self {
        if units > self.units { Self { units, at } } else { self }
    }
}

/// By how much these takings, by time, are more than the quota admits of one bucket that was empty before.
#[must_use]
pub fn excess(quota: Quota, takings: &[Taking]) -> Excess {
    match quota.algorithm() {
        Algorithm::SlidingWindow => of_log(quota, takings),
        Algorithm::FixedWindow => of_fixed_window(quota, takings),
        Algorithm::TokenBucket => of_token_bucket(quota, takings),
        _ => of_counter(quota, takings),
    }
}

/// The window in microseconds, and how many units it admits at once.
fn numbers(quota: Quota) -> (u64, u64) {
    (quota.window().as_micros() as u64, quota.capacity().into())
}

/// No window of this length has more than the limit: a unit at t counts during [t, t + window).
fn of_log(quota: Quota, takings: &[Taking]) -> Excess {
    let (window, limit) = numbers(quota);
    let mut excess = Excess::default();
    for (place, taking) in takings.iter().enumerate() {
        let at = taking.at;
        if takings.get(place + 1).is_some_and(|next| next.at == at) {
            // Of several in one microsecond only the last sees all of them.
            continue;
        }
        let live = takings[..=place].iter().rev().take_while(|it| it.at + window > at);
        let used: u64 = live.map(|it| it.at_least(at)).sum();
        excess = excess.worse(used.saturating_sub(limit), at);
    }
    excess
}

/// Windows do not overlap, each admits no more than the limit, and what it admits is within it.
fn of_fixed_window(quota: Quota, takings: &[Taking]) -> Excess {
    let (window, limit) = numbers(quota);
    let mut excess = Excess::default();
    let (mut end, mut used) = (0, 0);
    for taking in takings {
        if taking.free_at != end {
            let overlaps = taking.free_at < end + window;
            // Then it is one window that has no end: what was used of it stays so.
            used = if overlaps { used } else { 0 };
            end = taking.free_at;
        }
        used += taking.units;
        let is_within = taking.at < end && taking.at + window >= end;
        let beyond = if is_within { used.saturating_sub(limit) } else { taking.units };
        excess = excess.worse(beyond, taking.at);
    }
    excess
}

/// At any time at most the burst, and what came back since.
fn of_token_bucket(quota: Quota, takings: &[Taking]) -> Excess {
    let (window, capacity) = numbers(quota);
    let (window, limit) = (u128::from(window), u128::from(quota.limit()));
    let mut excess = Excess::default();
    // In tokens times the window, of which so many come back in a microsecond as the limit says.
    let (mut missing, mut last) = (0_u128, 0);
    for taking in takings {
        missing = missing.saturating_sub(u128::from(taking.at - last) * limit);
        missing += u128::from(taking.units) * window;
        last = taking.at;
        let beyond = missing.saturating_sub(u128::from(capacity) * window).div_ceil(window);
        excess = excess.worse(beyond as u64, last);
    }
    excess
}

/// What is of the window of now, and of the one before it as much as is left of that, is no more than the limit.
fn of_counter(quota: Quota, takings: &[Taking]) -> Excess {
    let (window, limit) = numbers(quota);
    let mut excess = Excess::default();
    let (mut number, mut previous, mut current) = (0, 0, 0);
    for taking in takings {
        let own = taking.at / window;
        if own != number {
            previous = if own == number + 1 { current } else { 0 };
            (number, current) = (own, 0);
        }
        current += taking.units;
        let used = current + weighted(previous, taking.at, window);
        excess = excess.worse(used.saturating_sub(limit), taking.at);
    }
    excess
}

/// How much of the units of the previous window counts at this time.
#[must_use]
pub fn weighted(previous: u64, at: u64, window: u64) -> u64 {
    let left = u128::from(window - at % window);
    (u128::from(previous) * left).div_ceil(u128::from(window)) as u64
}
