//! Adds random jitter to delays. Without jitter, many application servers would retry at the same moment.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// Changes a delay randomly. The result is longer or shorter than `delay` by at most the fraction `max_fraction`.
pub(crate) fn jittered(delay: Duration, max_fraction: f64) -> Duration {
    // Each new `RandomState` has different keys, so each call uses a different random number.
    let random = RandomState::new().hash_one(delay) as f64 / u64::MAX as f64;
    delay.mul_f64(1.0 - max_fraction + 2.0 * max_fraction * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jittered_delay_differs_by_at_most_the_fraction() {
        let delays: Vec<_> = (0..100).map(|_| jittered(Duration::from_millis(100), 0.25)).collect();
        assert!(delays.iter().all(|it| (75..=125).contains(&it.as_millis())), "{delays:?}");
        assert!(delays.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
