//! Where it is counted: the contract of stores, for who writes or wraps one.

mod contract;
pub(crate) mod error;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod home;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "redis", feature = "upstash"))]
pub(crate) mod redis_log;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod script;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod server_clock;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod server_error;
#[cfg(any(feature = "tls", feature = "upstash"))]
pub(crate) mod tls;
#[cfg(feature = "upstash")]
pub(crate) mod upstash;

pub use contract::{Answer, Charge, Operation, Receipt, Store, Verdict};

#[cfg(any(feature = "redis", feature = "upstash"))]
use self::redis_log::RedisLog;
use crate::StoreError;
pub use crate::{bucket::Bucket, level::Level};
