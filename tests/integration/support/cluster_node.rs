//! Starts and controls a Redis server in cluster mode.

use std::ops::Range;

use super::{
    eventually,
    redis_server::{RedisServer, run},
};

/// The number of hash slots in a Redis Cluster.
pub const SLOTS: u16 = 16_384;

pub struct ClusterNode(RedisServer);

impl ClusterNode {
    /// Starts a node that has no slots and knows no other nodes.
    pub fn start() -> Self {
        Self(RedisServer::start_with(&["--cluster-enabled", "yes"]))
    }

    /// Starts a cluster of one node, which has all cluster slots. As in any cluster, a script may access only one
    /// slot.
    pub fn start_single() -> Self {
        let node = Self::start();
        node.assign_slots(0..SLOTS);
        node.wait_until_ready();
        node
    }

    pub fn server(&self) -> &RedisServer {
        &self.0
    }

    /// Assigns these cluster slots, which have no node yet, to this node.
    pub fn assign_slots(&self, slots: Range<u16>) {
        let slots: Vec<_> = slots.collect();
        redis::cmd("CLUSTER").arg("ADDSLOTS").arg(slots).exec(&mut self.0.client()).unwrap();
    }

    /// Waits until the node reports that each cluster slot belongs to a node that can be reached.
    pub fn wait_until_ready(&self) {
        let mut client = self.0.client();
        eventually("the cluster state is ok", || {
            let info: String = run(&mut client, "CLUSTER INFO");
            info.contains("cluster_state:ok").then_some(())
        });
    }
}
