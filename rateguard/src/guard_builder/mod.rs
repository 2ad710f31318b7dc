//! The builder of a guard. One submodule has the settings for all stores, and further submodules have the settings
//! for only some stores.

mod common;
mod core_settings;
mod failure_settings;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod key_layout;
mod memory;
mod missing_features;
#[cfg(feature = "config")]
mod policies_file;
mod rate_guard_builder;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "deadpool")]
mod redis_pool;
mod responses;
#[cfg(feature = "dashboard")]
mod statistics;
#[cfg(feature = "upstash")]
mod upstash;

pub use self::rate_guard_builder::RateGuardBuilder;
