//! Random jitter for delays, so that many servers do not retry at the same moment.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The delay, changed at random by at most the fraction `max_fraction` of it in either direction.
pub(crate) fn jittered(delay: Duration, max_fraction: f64) -> Duration {
    // Each `RandomState` has another random seed.
    let random = RandomState::new().hash_one(delay) as f64 / u64::MAX as f64;
    delay.mul_f64(1.0 - max_fraction + 2.0 * max_fraction * random)
}
