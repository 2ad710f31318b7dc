//! The store of a measurement: the server's memory, or a Redis with a network delay.

use std::{fmt, time::Duration};

use super::{AttackResult, cluster, delay_proxy, redis_node::RedisNode};

/// The kind of a store.
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

/// A running store, whose Redis servers end when this value is dropped.
#[derive(Debug)]
pub struct Store {
    /// The argument that selects the store for the servers: `memory` or a URL.
    pub url: String,
    /// The Redis servers.
    pub nodes: Vec<RedisNode>,
}

impl Store {
    /// Starts a store with this round-trip time to Redis.
    ///
    /// # Errors
    ///
    /// If the store does not start.
    pub fn start(kind: Kind, delay: Duration) -> AttackResult<Self> {
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

    /// Starts one Redis server with this round-trip time and additional arguments.
    ///
    /// # Errors
    ///
    /// If Redis does not start.
    pub fn redis(delay: Duration, args: &[String]) -> AttackResult<Self> {
        let node = RedisNode::start(args)?;
        let port = match delay.is_zero() {
            true => node.port(),
            false => delay_proxy::start(node.port(), delay)?,
        };
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), nodes: vec![node] })
    }
}
