//! Denial-of-limiting attacks over HTTP, and whether the limits hold: load generators, servers in processes of their own,
//! Redis at a distance, and the judge.
//!
//! The way of a row: [`row`] lists what is measured, [`measure`] starts a [`store`] and [`server`]s, attacks them with
//! [`load`] while [`victims`] send within their limits, and [`judge`] compares the counts with what [`limits`] allows.
//! [`header_flood`], [`refund_cost`], [`full_redis`] and [`full_memory`] are attacks with a measurement of their own.

pub mod cluster;
pub mod delay_proxy;
pub mod full_memory;
pub mod full_redis;
pub mod header_flood;
pub mod http1;
pub mod http2;
pub mod judge;
pub mod limits;
pub mod load;
pub mod measure;
pub mod options;
pub mod process;
pub mod redis_node;
pub mod refund_cost;
pub mod request;
pub mod row;
pub mod server;
pub mod store;
pub mod table;
pub mod victims;

use std::{error::Error, time::Duration};

/// A value, or what went wrong with the measurement itself.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Longer than any start or reply takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a measurement with a table of its own found.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines to print.
    pub lines: Vec<String>,
    /// What must not be.
    pub violations: Vec<String>,
}
