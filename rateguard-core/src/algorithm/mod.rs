//! The rate limiting algorithms. Each of them is a pure function of a state, a quota and a time. It uses no clock and
//! no store, so a test can pass any time.
//!
//! Each algorithm has a Rust file and a Lua file with the same name and the same behaviour. Redis runs the Lua file.
//! The code that all algorithms share is in `bucket_state.rs` for Rust, and in `prelude.lua`, `arguments.lua`, `main.lua`
//! and `recovery.lua` for Lua. The two Lua implementations of the sliding-window log also share `exact_log.lua`.

mod bucket_state;
mod fixed_window;
mod limiter_state;
pub(crate) mod sliding_window;
mod sliding_window_counter;
mod token_bucket;

pub(crate) use self::{bucket_state::BucketState, limiter_state::LimiterState};

/// A time or a duration in microseconds. A time is counted from an arbitrary fixed start.
pub(crate) type Micros = u64;

/// Returns the window of the quota in microseconds. The value is less than 2^45, so the sum of a time and a window
/// does not overflow.
fn micros(quota: crate::Quota) -> Micros {
    quota.window_micros()
}

/// The source of the Lua script. The script contains all algorithms, and its arguments contain the name of each quota's
/// algorithm.
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
    include_str!("recovery.lua"),
);
