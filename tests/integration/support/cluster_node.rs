//! A server that is a node of a Redis Cluster.

use std::ops::Range;

use super::{
    eventually,
    redis_server::{RedisServer, run},
};

/// So many slots have the keys of a cluster.
pub const SLOTS: u16 = 16_384;

pub struct ClusterNode(RedisServer);

impl ClusterNode {
    /// One that has no slots and knows no other node.
    pub fn start() -> Self {
        Self(RedisServer::start_with(&["--cluster-enabled", "yes"]))
    }

    /// A cluster of its own: all slots are here, and a script may touch one of them only.
    pub fn alone() -> Self {
        let node = Self::start();
        node.take(0..SLOTS);
        node.serves();
        node
    }

    pub fn server(&self) -> &RedisServer {
        &self.0
    }

    /// Takes slots that no node has.
    pub fn take(&self, slots: Range<u16>) {
        let slots: Vec<_> = slots.collect();
        redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec(&mut self.0.client()).unwrap();
    }

    /// Waits until every slot has a node that answers.
    pub fn serves(&self) {
        let mut client = self.0.client();
        eventually("the cluster serves its slots", || {
            let info: String = run(&mut client, "CLUSTER INFO");
            info.contains("cluster_state:ok").then_some(())
        });
    }
}
