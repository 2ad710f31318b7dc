//! The stores that a [`RateGuardBuilder`](crate::RateGuardBuilder) can open. They are the parameter `S` of its type.

#[cfg(feature = "redis")]
pub use crate::guard::builder::Redis;
#[cfg(feature = "deadpool")]
pub use crate::guard::builder::RedisPool;
#[cfg(any(feature = "redis", feature = "upstash"))]
pub use crate::guard::builder::RedisStoreConfig;
#[cfg(feature = "upstash")]
pub use crate::guard::builder::Upstash;
pub use crate::guard::builder::{FallibleStoreConfig, InMemory, OwnStore, StoreConfig};
