//! The store of a measurement: in the server's memory, or Redis at a distance.

use std::{fmt, time::Duration};

use super::{Outcome, cluster, delay_proxy, redis_node::RedisNode};

/// Where the servers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In memory.
    Memory,
    /// In one Redis.
    Redis,
    /// In a Redis Cluster.
    Cluster,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Cluster => "cluster",
        })
    }
}

/// A store that ends with this value.
#[derive(Debug)]
pub struct Store {
    /// What the servers are given: `memory` or a URL.
    pub url: String,
    /// The Redis servers.
    pub nodes: Vec<RedisNode>,
}

impl Store {
    /// Starts one that is so far away.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(kind: Kind, delay: Duration) -> Outcome<Self> {
        match kind {
            Kind::Memory => Ok(Self { url: "memory".to_owned(), nodes: Vec::new() }),
            Kind::Redis => Self::redis(delay, &[]),
            Kind::Cluster => {
                let (nodes, ports) = cluster::start(delay)?;
                let hosts: Vec<_> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
                Ok(Self { url: format!("redis+cluster://{}", hosts.join(",")), nodes })
            }
        }
    }

    /// Starts one Redis with further arguments.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn redis(delay: Duration, args: &[String]) -> Outcome<Self> {
        let node = RedisNode::start(args)?;
        let port = match delay.is_zero() {
            true => node.port(),
            false => delay_proxy::start(node.port(), delay)?,
        };
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), nodes: vec![node] })
    }
}
