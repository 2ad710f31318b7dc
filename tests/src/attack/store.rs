//! The store that the servers under attack use: the memory of each server, a Redis server, or a Redis Cluster. A
//! proxy can delay the connections to Redis.

use std::{fmt, time::Duration};

use super::{AttackResult, cluster, delay_proxy, redis_node::RedisNode};

/// The kind of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each server stores the counts in its own memory.
    Memory,
    /// One Redis server stores the counts.
    Redis,
    /// A Redis Cluster stores the counts.
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

/// A running store. When this value is dropped, its Redis servers end.
#[derive(Debug)]
pub struct Store {
    /// The argument that selects this store on the command line of a server: `memory` or a URL.
    pub url: String,
    /// The Redis servers of the store; empty for the memory store.
    pub nodes: Vec<RedisNode>,
}

impl Store {
    /// Starts a store whose round-trip time to Redis is `delay`.
    ///
    /// # Errors
    ///
    /// Returns an error if the store does not start.
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

    /// Starts one Redis server with the round-trip time `delay` and with additional command line arguments.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not start.
    pub fn redis(delay: Duration, args: &[String]) -> AttackResult<Self> {
        let node = RedisNode::start(args)?;
        let port = match delay.is_zero() {
            true => node.port(),
            false => delay_proxy::start(node.port(), delay)?,
        };
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), nodes: vec![node] })
    }
}
