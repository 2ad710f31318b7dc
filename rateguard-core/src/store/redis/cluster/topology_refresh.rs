//! Keeps the map of the slots up to date.

use std::{sync::Arc, time::Duration};

use futures_util::{
    future::join_all,
    stream::{FuturesUnordered, StreamExt},
};
use redis::ConnectionInfo;
use tokio::time::{sleep, timeout};

use super::{
    nodes::Nodes,
    topology::{TELL_TIMEOUT, Topology},
};
use crate::{
    jitter::jittered,
    store::{
        StoreError,
        redis::connector::{CONNECT_TIMEOUT, connect, host},
    },
};

/// How often the map is asked for while nobody misses a node.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// … and while somebody does, or nobody knows it.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// How many nodes are asked at once.
const ASKED: usize = 3;

/// Asks the nodes for the map again and again.
pub(super) async fn watch(nodes: Arc<Nodes>, seeds: Vec<ConnectionInfo>) {
    for turn in 0.. {
        let told = match newest(ask_nodes(&nodes, turn).await) {
            Some(topology) => Ok(topology),
            None => ask_seeds(&seeds).await,
        };
        match told {
            Ok(topology) => nodes.take(topology),
            Err(cause) => nodes.unknown(cause),
        }
        let is_well = nodes.map_now().is_ok_and(|map| map.health().is_ok());
        let pause = if is_well { ASK_EVERY } else { ASK_AGAIN };
        let _ = timeout(jittered(pause, 0.25), nodes.wake.notified()).await;
        // However many miss a node.
        sleep(jittered(ASK_AGAIN / 4, 0.25)).await;
    }
}

/// Asks some of the nodes to which there is a connection, at each turn others.
async fn ask_nodes(nodes: &Nodes, turn: usize) -> Vec<Topology> {
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
        let others = turn % live.len();
        live.rotate_left(others);
    }
    let asking =
        live.into_iter().take(ASKED).map(|(_, host, live)| Topology::of(live.connection, host));
    join_all(asking).await.into_iter().flatten().collect()
}

/// Asks the nodes that the URL names.
async fn ask_seeds(seeds: &[ConnectionInfo]) -> Result<Topology, StoreError> {
    let ask = async |seed: &ConnectionInfo| {
        let connection = connect(seed.clone(), Some(TELL_TIMEOUT)).await?;
        Topology::of(connection, host(seed)).await
    };
    let mut asking: FuturesUnordered<_> = seeds.iter().map(ask).collect();
    let mut told = Vec::new();
    let mut cause = None;
    let all = async {
        while let Some(answer) = asking.next().await {
            match answer {
                // Those who hang are not waited for. If it was not the latest, that is found out soon.
                Ok(topology) if topology.is_ok => return told.push(topology),
                Ok(topology) => told.push(topology),
                Err(error) => cause = cause.or(Some(error)),
            }
        }
    };
    // What was told by then counts.
    let _ = timeout(CONNECT_TIMEOUT + TELL_TIMEOUT, all).await;
    newest(told).ok_or(cause.unwrap_or(StoreError::Unreachable))
}

/// What is told by a node that is in touch with the others, and knows of the latest failover.
fn newest(told: impl IntoIterator<Item = Topology>) -> Option<Topology> {
    told.into_iter().max_by_key(|topology| (topology.is_ok, topology.epoch))
}
