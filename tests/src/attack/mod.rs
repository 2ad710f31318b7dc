//! Attacks over HTTP that try to make limits fail, and the judge that checks the limits. The load generator, the
//! application servers and Redis are separate processes.
//!
//! [`row`] lists the rows of the table. For each row, [`measure`] starts a [`store`] and [`server`]s, attacks them with
//! [`load`] while [`victims`] send within their limits, and [`judge`] compares the counts with what [`limits`] allows.
//! [`header_flood`], [`refund_cost`], [`full_redis`] and [`full_memory`] are attacks with their own tables.

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

/// A value, or an error of the measurement itself.
pub type AttackResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A timeout that is longer than any start or reply takes on a loaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The result of an attack that has its own table.
#[derive(Debug, Default)]
pub struct Report {
    /// The lines to print.
    pub lines: Vec<String>,
    /// The violations as messages.
    pub violations: Vec<String>,
}
