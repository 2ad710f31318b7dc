//! The trait [`Store`], its types, and the stores of this crate.

mod contract;
pub(crate) mod error;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod io_thread;
#[cfg(any(feature = "redis", feature = "upstash"))]
pub(crate) mod log_encoding;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
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

pub use contract::{BucketRequest, InProcess, Operation, Receipt, Store, StoreFuture, Verdict};

#[cfg(any(feature = "redis", feature = "upstash"))]
use self::log_encoding::LogEncoding;
use crate::StoreError;
pub use crate::{bucket_status::BucketStatus, key::Bucket};
