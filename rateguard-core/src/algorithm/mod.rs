//! The algorithms: pure functions of a state, a quota and a time. They read no clock and no store, so tests can use any
//! time.
//!
//! Each algorithm has a Rust file, and for Redis a Lua file of the same name with the same behaviour. The code that all
//! algorithms share is in `bucket_state.rs`, and for Redis in `prelude.lua`, `arguments.lua` and `main.lua`.

mod bucket_state;
mod fixed_window;
mod limiter_state;
pub(crate) mod sliding_window;
mod sliding_window_counter;
mod token_bucket;

pub(crate) use self::{bucket_state::BucketState, limiter_state::LimiterState};

/// Microseconds since an arbitrary fixed time, or a duration in microseconds.
pub(crate) type Micros = u64;

/// Returns the window in microseconds. The value is less than 2^45, so sums of a time and a window do not overflow.
fn micros(quota: crate::Quota) -> Micros {
    quota.window_micros()
}

/// The Lua script that runs every algorithm in Redis. The arguments of the script name the algorithm of each quota.
#[cfg(any(feature = "redis", feature = "upstash"))]
pub(crate) const SCRIPT: &str = concat!(
    include_str!("prelude.lua"),
    include_str!("exact_log.lua"),
    include_str!("sliding_window.lua"),
    include_str!("sliding_window_sorted_set.lua"),
    include_str!("sliding_window_counter.lua"),
    include_str!("fixed_window.lua"),
    include_str!("token_bucket.lua"),
    include_str!("arguments.lua"),
    include_str!("main.lua"),
);
