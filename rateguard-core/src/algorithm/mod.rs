//! The rate limiting algorithms. Each of them is a pure function of a state, a quota and a time. It uses no clock and
//! no store, so a test can pass any time.
//!
//! Each algorithm has a Rust file and a Lua file with the same name and the same behaviour. Redis runs the Lua file.
//! The code that all algorithms share is in `bucket_state.rs` for Rust, and in `prelude.lua`, `buckets.lua`,
//! `arguments.lua`, `main.lua` and `recovery.lua` for Lua. The two Lua implementations of the sliding-window log also
//! share `exact_log.lua`. Permits have no units that a conversion could carry over, so `concurrency.rs` is not a variant of
//! the state in `bucket_state.rs`. The most common batches need only `prelude.lua`, `packed_log.lua` and `unit_checks.lua`.

mod bucket_state;
mod calendar;
pub(crate) mod concurrency;
mod fixed_window;
mod limiter_state;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod script;
pub(crate) mod sliding_window;
mod sliding_window_counter;
mod token_bucket;

#[cfg(any(feature = "redis", feature = "upstash"))]
pub(crate) use self::script::SCRIPT;
pub(crate) use self::{bucket_state::BucketState, limiter_state::LimiterState};

/// A time or a duration in microseconds. A time is counted from an arbitrary fixed start.
pub(crate) type Micros = u64;

/// Returns the window of the quota in microseconds. The value is less than 2^45, so the sum of a time and a window
/// does not overflow.
fn micros(quota: crate::Quota) -> Micros {
    quota.window_micros()
}
