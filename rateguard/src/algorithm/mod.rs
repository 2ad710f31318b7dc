//! How requests are counted: pure steps over a state, a quota and a time, without a clock or a store.
//!
//! Each algorithm is a Rust file and, for Redis, a Lua file of the same name that says the same. What all of them have
//! in common is in `state.rs` and in `main.lua`.

mod fixed_window;
pub(crate) mod sliding_window;
mod sliding_window_counter;
mod state;
mod token_bucket;

pub(crate) use state::{State, Step};

/// Microseconds since some fixed moment.
pub(crate) type Micros = u64;

/// The window in microseconds: less than 2^45.
fn micros(quota: crate::Quota) -> Micros {
    quota.window_micros()
}

/// The Redis form of all algorithms: one script, which the quota's algorithm is an argument of.
#[cfg(any(feature = "redis", feature = "upstash"))]
pub(crate) const SCRIPT: &str = concat!(
    include_str!("prelude.lua"),
    include_str!("sliding_window.lua"),
    include_str!("sliding_window_sorted_set.lua"),
    include_str!("sliding_window_counter.lua"),
    include_str!("fixed_window.lua"),
    include_str!("token_bucket.lua"),
    include_str!("main.lua"),
);
