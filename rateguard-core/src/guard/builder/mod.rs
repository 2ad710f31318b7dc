//! The builder of a guard, and the types of the stores that a builder can open. The type of the store is the
//! parameter `S` of [`RateGuardBuilder`].

mod failure_settings;
#[cfg(feature = "config")]
mod file_settings;
mod in_memory;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod key_layout;
mod memory_builder;
mod own_store;
mod policies;
#[cfg(feature = "config")]
mod policies_file;
mod rate_guard_builder;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "deadpool")]
mod redis_pool;
mod settings;
#[cfg(feature = "statistics")]
mod statistics;
mod store_config;
#[cfg(feature = "upstash")]
mod upstash;

#[cfg(any(feature = "redis", feature = "upstash"))]
pub use self::key_layout::RedisStoreConfig;
#[cfg(feature = "redis")]
pub use self::redis::Redis;
#[cfg(feature = "deadpool")]
pub use self::redis_pool::RedisPool;
#[cfg(feature = "upstash")]
pub use self::upstash::Upstash;
pub use self::{
    in_memory::InMemory,
    own_store::OwnStore,
    rate_guard_builder::RateGuardBuilder,
    store_config::{FallibleStoreConfig, StoreConfig},
};
pub use crate::store::log_encoding::LogEncoding;
#[cfg(any(feature = "tls", feature = "upstash"))]
pub use crate::store::tls::RedisTls;
