//! Where it is counted: the contract of stores, for who writes or wraps one.

mod contract;
pub(crate) mod error;
#[cfg(feature = "redis")]
mod home;
pub(crate) mod memory;
#[cfg(feature = "redis")]
pub(crate) mod redis;

pub use contract::{Answer, Charge, Operation, Receipt, Store, Verdict};

use crate::StoreError;
pub use crate::{bucket::Bucket, level::Level};
