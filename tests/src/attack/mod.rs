//! Attacks over HTTP that try to exceed rate limits, and a judge that checks the results. The load generator, the
//! application servers and Redis are separate processes.
//!
//! The module [`row`] defines the rows of the table of attacks. Each row has the parameters of one attack. For each
//! row, [`measure`] starts a [`store`] and [`server`]s, and runs the attack of [`load`] while the [`victims`] send
//! requests within their limits. Then [`judge`] compares the number of admitted requests with the maximum that
//! [`limits`] defines. The attacks [`header_flood`], [`refund_cost`], [`full_redis`] and [`full_memory`] have
//! separate tables.

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

/// A value, or the error that made the measurement itself fail.
pub type AttackResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// A timeout that is longer than any program start or any reply on a loaded machine.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The result of an attack that has its own table.
#[derive(Debug, Default)]
pub struct Report {
    /// The lines of the table.
    pub lines: Vec<String>,
    /// A message for each violation.
    pub violations: Vec<String>,
}
