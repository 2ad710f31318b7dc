//! A real Redis Cluster for one test: three masters, each with a replica.

use redis::{Connection, RedisResult};

use super::{eventually, redis_server::RedisServer};

const SLOTS: u16 = 16_384;
const MASTERS: u16 = 3;

/// After how many milliseconds of silence the other nodes give up a node: nodes that find each other soon.
const SHORT_NODE_TIMEOUT: &str = "1000";

/// The same for a cluster that is complete: a busy machine may keep a node silent for a while.
const LONG_NODE_TIMEOUT: &str = "60000";

pub struct RedisCluster {
    /// First the masters, in the order of their slots, then the replica of each.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further command-line arguments for each node.
    pub fn start_with(args: &[&str]) -> Self {
        let own = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            SHORT_NODE_TIMEOUT,
            // A replica takes over whatever it has.
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
            eventually("the master is known", || {
                cluster_command(&["REPLICATE", &master]).query::<()>(&mut replica.client()).ok()
            });
        }
        // A master that the others have just given up is back only after two of these timeouts.
        eventually("all masters are there to stay", || {
            cluster.set_node_timeout(SHORT_NODE_TIMEOUT);
            cluster.until_well();
            cluster.set_node_timeout(LONG_NODE_TIMEOUT);
            cluster.is_well().then_some(())
        });
        cluster
    }

    /// Lets a replica take over soon from a master that is silent.
    pub fn fail_over_soon(&self) {
        self.set_node_timeout(SHORT_NODE_TIMEOUT);
    }

    fn set_node_timeout(&self, milliseconds: &str) {
        for node in &self.nodes {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg("cluster-node-timeout").arg(milliseconds);
            set.exec(&mut node.client()).unwrap();
        }
    }

    /// `CLUSTER` and these words.
    pub fn run(&self, client: &mut Connection, words: &[&str]) {
        cluster_command(words).exec(client).unwrap();
    }

    /// Waits until all nodes that live know all of the slots' masters, and each replica has its master's data.
    pub fn until_well(&self) {
        eventually("the cluster is well", || self.is_well().then_some(()));
    }

    fn is_well(&self) -> bool {
        let is_well = |node: &RedisServer| -> RedisResult<bool> {
            let mut client = node.client();
            let info: String = cluster_command(&["INFO"]).query(&mut client)?;
            let slots: Vec<redis::Value> = cluster_command(&["SLOTS"]).query(&mut client)?;
            let replication: String = redis::cmd("INFO").arg("replication").query(&mut client)?;
            // Without full coverage, the state alone does not say whether a master was given up.
            let is_whole = info.contains("cluster_state:ok")
                && info.contains("cluster_slots_pfail:0")
                && info.contains("cluster_slots_fail:0")
                && info.contains("cluster_known_nodes:6")
                && slots.len() >= usize::from(MASTERS);
            let is_linked = !replication.contains("role:slave")
                || replication.contains("master_link_status:up");
            Ok(is_whole && is_linked)
        };
        self.nodes.iter().all(|node| is_well(node).unwrap_or(false))
    }

    /// The URL, with the masters in it.
    pub fn url(&self) -> String {
        let ports: Vec<_> =
            self.nodes[..3].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", ports.join(","))
    }
}

pub fn cluster_command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg(words);
    command
}

/// The name that a node has given itself.
pub fn id(node: &RedisServer) -> String {
    cluster_command(&["MYID"]).query(&mut node.client()).unwrap()
}
