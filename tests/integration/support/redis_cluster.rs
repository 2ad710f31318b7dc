//! Starts and controls a Redis Cluster for one test. It has three masters, and each master has one replica.

use redis::{Connection, RedisResult};

use super::{eventually, redis_server::RedisServer};

const SLOTS: u16 = 16_384;
const MASTERS: u16 = 3;

/// A short value of `cluster-node-timeout`, in milliseconds. With it, a start or a failover of the cluster is fast.
const SHORT_NODE_TIMEOUT: &str = "1000";

/// A long value of `cluster-node-timeout`, in milliseconds, for a cluster that has started. A busy machine may delay
/// a node for seconds, and the other nodes must not mark this node as failed.
const LONG_NODE_TIMEOUT: &str = "60000";

pub struct RedisCluster {
    /// The three masters in the order of their cluster slots, followed by the replicas in the order of their masters.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a cluster. Each node has these additional command line arguments.
    pub fn start_with(args: &[&str]) -> Self {
        let own = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            SHORT_NODE_TIMEOUT,
            // With the factor 0, a replica may become a master even if its data is old.
            "--cluster-replica-validity-factor",
            "0",
        ];
        let args = [&own, args].concat();
        let nodes = (0..2 * MASTERS).map(|_| RedisServer::start_with(&args)).collect();
        let cluster = Self { nodes };
        for (number, node) in (0..).zip(&cluster.nodes) {
            let mut client = node.client();
            cluster.run(&mut client, &["SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if number < MASTERS {
                let [first, end] =
                    [number, number + 1].map(|it| u32::from(it) * u32::from(SLOTS) / 3);
                let slots: Vec<String> = (first..end).map(|slot| slot.to_string()).collect();
                let words: Vec<&str> =
                    ["ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
                cluster.run(&mut client, &words);
            }
            let first = cluster.nodes[0].port().to_string();
            cluster.run(&mut client, &["MEET", "127.0.0.1", &first]);
        }
        for (replica, master) in cluster.nodes[3..].iter().zip(&cluster.nodes) {
            let master = id(master);
            eventually("the replica has discovered its master", || {
                cluster_command(&["REPLICATE", &master]).query::<()>(&mut replica.client()).ok()
            });
        }
        // If the other nodes have marked a master as failed, they accept this master again only after two node
        // timeouts.
        eventually("the cluster is healthy under the long node timeout", || {
            cluster.set_node_timeout(SHORT_NODE_TIMEOUT);
            cluster.wait_until_healthy();
            cluster.set_node_timeout(LONG_NODE_TIMEOUT);
            cluster.is_healthy().then_some(())
        });
        cluster
    }

    /// Sets the node timeout to 1 s, so that a replica soon replaces a master that does not reply.
    pub fn use_short_node_timeout(&self) {
        self.set_node_timeout(SHORT_NODE_TIMEOUT);
    }

    fn set_node_timeout(&self, milliseconds: &str) {
        for node in &self.nodes {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("cluster-node-timeout").arg(milliseconds);
            set.exec(&mut node.client()).unwrap();
        }
    }

    /// Runs the command `CLUSTER <words>` on this connection.
    pub fn run(&self, client: &mut Connection, words: &[&str]) {
        cluster_command(words).exec(client).unwrap();
    }

    /// Waits until each node reports that all cluster slots are served, and until each replica is connected to its
    /// master.
    pub fn wait_until_healthy(&self) {
        eventually("the cluster is healthy", || self.is_healthy().then_some(()));
    }

    fn is_healthy(&self) -> bool {
        let is_healthy = |node: &RedisServer| -> RedisResult<bool> {
            let mut client = node.client();
            let info: String = cluster_command(&["INFO"]).query(&mut client)?;
            let slots: Vec<redis::Value> = cluster_command(&["SLOTS"]).query(&mut client)?;
            let replication: String = redis::cmd("INFO").arg("replication").query(&mut client)?;
            // With `cluster-require-full-coverage no`, the state is `ok` even if a master has failed. Therefore the
            // states of the slots are checked too.
            let is_complete = info.contains("cluster_state:ok")
                && info.contains("cluster_slots_pfail:0")
                && info.contains("cluster_slots_fail:0")
                && info.contains("cluster_known_nodes:6")
                && slots.len() >= usize::from(MASTERS);
            let is_linked = !replication.contains("role:slave")
                || replication.contains("master_link_status:up");
            Ok(is_complete && is_linked)
        };
        self.nodes.iter().all(|node| is_healthy(node).unwrap_or(false))
    }

    /// Returns the URL of the cluster, which contains the addresses of the three masters.
    pub fn url(&self) -> String {
        let ports: Vec<_> =
            self.nodes[..3].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", ports.join(","))
    }
}

/// Creates the command `CLUSTER <words>`.
pub fn cluster_command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg(words);
    command
}

/// Returns the id that a node has in its cluster.
pub fn id(node: &RedisServer) -> String {
    cluster_command(&["MYID"]).query(&mut node.client()).unwrap()
}
