//! Updates the map from cluster slots to masters at regular intervals.

use std::{sync::Arc, time::Duration};

use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use redis::ConnectionInfo;
use tokio::time::{sleep, timeout};

use super::{
    nodes::Nodes,
    topology::{TOPOLOGY_TIMEOUT, Topology},
};
use crate::{
    jitter::jittered,
    store::{
        StoreError,
        connection::{ConnectionLog, ServerLabel},
        redis::connect::{CONNECT_TIMEOUT, connect, host},
    },
};

/// The interval between two refreshes of the cluster map if every cluster slot has a master with a live connection.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);
/// The interval between two refreshes of the cluster map if there is no map yet, or if a cluster slot has no master
/// with a live connection.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// The minimum interval between two refreshes, even if many checks request a refresh.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// The maximum number of nodes that one refresh queries.
const NODES_PER_REFRESH: usize = 3;

/// Refreshes the map at regular intervals, and also when a check requests it.
pub(super) async fn run(nodes: Arc<Nodes>, seeds: Vec<ConnectionInfo>) {
    let mut log = ConnectionLog::new(ServerLabel::of_cluster(&seeds));
    for round in 0.. {
        let topology = match newest(query_nodes(&nodes, round).await) {
            Some(topology) => Ok(topology),
            None => query_seeds(&seeds).await,
        };
        match topology {
            Ok(topology) => {
                log.connected();
                nodes.update(topology);
            }
            Err(cause) => {
                log.failed(cause, async |_| None).await;
                nodes.record_failure(cause);
            }
        }
        let is_healthy = nodes.map_now().is_ok_and(|map| map.health().is_ok());
        let interval = if is_healthy { REFRESH_INTERVAL } else { RETRY_INTERVAL };
        let _ = timeout(jittered(interval, 0.25), nodes.wake.notified()).await;
        sleep(jittered(MIN_INTERVAL, 0.25)).await;
    }
}

/// Queries some of the nodes that have a live connection. Each round starts with a different node, so after some
/// rounds each node has been queried.
async fn query_nodes(nodes: &Nodes, round: usize) -> Vec<Topology> {
    let Ok(map) = nodes.map_now() else { return Vec::new() };
    let mut live: Vec<_> = map
        .nodes()
        .filter_map(|node| {
            Some((node.number, node.address.host.as_str(), node.link.live_now().ok()?))
        })
        .collect();
    live.sort_by_key(|(number, _, _)| *number);
    live.dedup_by_key(|(number, _, _)| *number);
    if !live.is_empty() {
        let offset = round % live.len();
        live.rotate_left(offset);
    }
    let queries = live
        .into_iter()
        .take(NODES_PER_REFRESH)
        .map(|(_, host, live)| Topology::query(live.connection, host));
    join_all(queries).await.into_iter().flatten().collect()
}

/// Queries the nodes in the URL. Returns the newest topology.
async fn query_seeds(seeds: &[ConnectionInfo]) -> Result<Topology, StoreError> {
    let query = async |seed: &ConnectionInfo| {
        let connection = connect(seed.clone(), Some(TOPOLOGY_TIMEOUT)).await?;
        Topology::query(connection, host(seed)).await
    };
    let mut queries: FuturesUnordered<_> = seeds.iter().map(query).collect();
    let mut topologies = Vec::new();
    let mut cause = None;
    let all = async {
        while let Some(reply) = queries.next().await {
            match reply {
                // This topology is sufficient. Do not wait for the other nodes, because some of them may never reply.
                // If the topology is outdated, the next refresh corrects it.
                Ok(topology) if topology.is_ok => return topologies.push(topology),
                Ok(topology) => topologies.push(topology),
                Err(error) => cause = cause.or(Some(error)),
            }
        }
    };
    // After the timeout, use the topologies that have arrived until now.
    let _ = timeout(CONNECT_TIMEOUT + TOPOLOGY_TIMEOUT, all).await;
    newest(topologies).ok_or(cause.unwrap_or(StoreError::Unreachable(None)))
}

/// Returns the topology with the largest epoch. If a node is connected to a majority of the masters, its topology has
/// priority, because a node without this majority may have missed a failover.
fn newest(topologies: impl IntoIterator<Item = Topology>) -> Option<Topology> {
    topologies.into_iter().max_by_key(|topology| (topology.is_ok, topology.epoch))
}
