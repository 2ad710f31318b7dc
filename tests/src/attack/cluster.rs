//! Starts a Redis Cluster that has three masters and no replicas.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{AttackResult, TIMEOUT, delay_proxy, redis_node::RedisNode};

const MASTERS: u32 = 3;
const SLOTS: u32 = 16_384;

/// Starts the nodes, and returns them with the ports to which clients connect. If there is a delay, clients
/// connect to each node through a separate proxy.
///
/// # Errors
///
/// Returns an error if the cluster does not become complete.
pub fn start(delay: Duration) -> AttackResult<(Vec<RedisNode>, Vec<u16>)> {
    let (mut nodes, mut ports) = (Vec::new(), Vec::new());
    for number in 0..MASTERS {
        let announced = std::cell::Cell::new(0);
        let node = RedisNode::start_with(|port| {
            let client_port = if delay.is_zero() { port } else { delay_proxy::start(port, delay)? };
            announced.set(client_port);
            Ok(arguments(port, client_port))
        })?;
        let [first, end] = [number, number + 1].map(|edge| edge * SLOTS / MASTERS);
        let [first, last] = [first, end - 1].map(|slot| slot.to_string());
        let _: () = node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        let _: () = node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])?;
        ports.push(announced.get());
        nodes.push(node);
    }
    let first = &nodes[0];
    let (port, bus) = (first.port().to_string(), bus_port(first.port()).to_string());
    for node in &nodes[1..] {
        let _: () = node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
    }
    let start = Instant::now();
    while !nodes.iter().all(|node| is_complete(node).unwrap_or(false)) {
        if start.elapsed() > TIMEOUT {
            return Err("the cluster does not become complete".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((nodes, ports))
}

fn arguments(port: u16, client_port: u16) -> Vec<String> {
    [
        "--cluster-enabled yes --cluster-node-timeout 5000".to_owned(),
        format!("--cluster-announce-port {client_port}"),
        format!("--cluster-announce-bus-port {}", bus_port(port)),
    ]
    .iter()
    .flat_map(|words| words.split(' ').map(str::to_owned))
    .collect()
}

fn bus_port(port: u16) -> u16 {
    port + 10_000
}

fn is_complete(node: &RedisNode) -> AttackResult<bool> {
    let info: String = node.command(&["CLUSTER", "INFO"])?;
    let slots: Vec<redis::Value> = node.command(&["CLUSTER", "SLOTS"])?;
    let is_ok = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
    Ok(is_ok && slots.len() == MASTERS as usize)
}
