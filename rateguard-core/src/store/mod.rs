//! Defines the trait [`Store`] with its types, and contains the stores of this crate.

#[cfg(any(feature = "redis", feature = "upstash"))]
mod connection;
mod contract;
mod document;
pub(crate) mod error;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod io_thread;
mod keyspace;
pub(crate) mod log_encoding;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod redis_url_error;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod script;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod server_clock;
#[cfg(any(feature = "redis", feature = "upstash"))]
mod server_error;
pub(crate) mod statistics;
#[cfg(any(feature = "tls", feature = "upstash"))]
pub(crate) mod tls;
#[cfg(feature = "upstash")]
pub(crate) mod upstash;
pub(crate) mod upstash_error;

pub use crate::calendar::calendar_bounds;
pub use contract::{BucketRequest, InProcess, Operation, Receipt, Store, StoreFuture, Verdict};
pub use document::{
    Document, DocumentFuture, DocumentRead, DocumentStore, DocumentVersion, DocumentWrite,
};
#[doc(hidden)]
pub use keyspace::Keyspace;
pub use statistics::{
    StatisticsCount, StatisticsFuture, StatisticsPublication, StatisticsRead, StatisticsReport,
    StatisticsStore,
};

use crate::StoreError;
pub use crate::{bucket_status::BucketStatus, key::Bucket};
