//! Pauses that differ, so that many servers do not come back at the same moment.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A pause shorter or longer by up to such a part of it.
pub(crate) fn jittered(pause: Duration, part: f64) -> Duration {
    // A hasher's seed is random.
    let random = RandomState::new().hash_one(pause) as f64 / u64::MAX as f64;
    pause.mul_f64(1.0 - part + 2.0 * part * random)
}
