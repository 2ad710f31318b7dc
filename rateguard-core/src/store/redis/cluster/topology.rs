//! Queries a node for the topology of the cluster: the cluster slots, their masters, and the addresses of all nodes.

use std::{collections::HashSet, time::Duration};

use redis::{
    RedisResult, Value, aio::MultiplexedConnection, from_redis_value, from_redis_value_ref,
};
use tokio::time::timeout;

use super::node_address::NodeAddress;
use crate::store::{StoreError, redis::error::classify};

/// The maximum time that a node may need to report the topology.
pub(super) const TOPOLOGY_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// True if the node that reported the topology is connected to a majority of the masters. Otherwise the node may
    /// have missed a failover, and may report old masters.
    pub(super) is_ok: bool,
    /// The configuration epoch. Each failover increases the epoch, so the topology with the larger epoch is newer.
    pub(super) epoch: u64,
    /// The ranges of slots in ascending order. Each range has its first slot, its last slot and the address of its
    /// master.
    pub(super) ranges: Vec<(u16, u16, NodeAddress)>,
    /// The addresses of all nodes of the cluster, including the replicas and the masters without slots.
    pub(super) members: HashSet<NodeAddress>,
}

impl Topology {
    /// Queries a node for the topology of the cluster. `host` is the host of this node.
    pub(super) async fn query(
        mut connection: MultiplexedConnection,
        host: &str,
    ) -> Result<Self, StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        commands.cmd("CLUSTER").arg("NODES");
        let request = connection.send_packed_commands(&commands, 0, 3);
        let replies = timeout(TOPOLOGY_TIMEOUT, request).await.map_err(|_| StoreError::Timeout)?;
        let mut nodes = String::new();
        let replies = replies.and_then(|mut replies| {
            // If the user has no permission for `CLUSTER NODES`, the members are only the nodes in the reply to
            // `CLUSTER SLOTS`.
            let reply = replies.pop().unwrap_or(Value::Nil).extract_error();
            nodes = reply.and_then(|it| Ok(from_redis_value(it)?)).unwrap_or_default();
            replies.into_iter().map(Value::extract_error).collect::<RedisResult<Vec<_>>>()
        });
        let replies = replies.map_err(|error| classify(&error))?;
        let parse = |replies| {
            let [info, slots] = <[Value; 2]>::try_from(replies).ok()?;
            Self::parse(&from_redis_value::<String>(info).ok()?, &slots, &nodes, host)
        };
        parse(replies).ok_or(StoreError::InvalidReply)
    }

    fn parse(info: &str, slots: &Value, nodes: &str, host: &str) -> Option<Self> {
        let field = |name| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let Value::Array(slots) = slots else { return None };
        let mut members: HashSet<NodeAddress> =
            slots.iter().flat_map(|it| replicas(it, host)).collect();
        members.extend(nodes.lines().flat_map(|line| addresses(line, host)));
        let ranges: Vec<_> =
            slots.iter().map(|range| parse_range(range, host)).collect::<Option<_>>()?;
        // A node reports the host `?` if it does not know the host name of another node. The slots of such a node are
        // omitted.
        let mut ranges: Vec<_> = ranges.into_iter().filter(|it| it.2.host != "?").collect();
        ranges.sort();
        members.extend(ranges.iter().map(|(_, _, master)| master.clone()));
        members.retain(|member| member.host != "?");
        Some(Self {
            is_ok: field("cluster_state")? == "ok",
            epoch: field("cluster_current_epoch")?.parse().ok()?,
            ranges,
            members,
        })
    }
}

/// Parses one range in the reply to `CLUSTER SLOTS`: `[first, last, [host, port, …], replicas…]`. An empty host means
/// the host of the node that sent the reply.
fn parse_range(range: &Value, host: &str) -> Option<(u16, u16, NodeAddress)> {
    let Value::Array(range) = range else { return None };
    let [first, last, master, ..] = range.as_slice() else { return None };
    Some((parse_u16(first)?, parse_u16(last)?, parse_node(master, host)?))
}

/// Returns the addresses of the replicas in one range of the reply to `CLUSTER SLOTS`.
fn replicas(range: &Value, host: &str) -> Vec<NodeAddress> {
    let Value::Array(range) = range else { return Vec::new() };
    range.iter().skip(3).filter_map(|replica| parse_node(replica, host)).collect()
}

/// Parses one node in the reply to `CLUSTER SLOTS`: `[host, port, …]`.
fn parse_node(node: &Value, host: &str) -> Option<NodeAddress> {
    let Value::Array(node) = node else { return None };
    let [name, port, ..] = node.as_slice() else { return None };
    let name = match name {
        Value::Nil => String::new(),
        name => from_redis_value_ref(name).ok()?,
    };
    let host = if name.is_empty() { host.to_owned() } else { name };
    Some(NodeAddress { host, port: parse_u16(port)? })
}

/// Returns the addresses of one node in the reply to `CLUSTER NODES`: one with the IP address and, if the reply has a
/// host name, one with this name. The format of a line is `id ip:port@bus-port,name,… flags …`.
fn addresses(line: &str, host: &str) -> Vec<NodeAddress> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (Some(address), Some(flags)) = (fields.next(), fields.next()) else { return Vec::new() };
    // A node in the handshake state does not belong to the cluster yet.
    if flags.split(',').any(|flag| ["handshake", "noaddr"].contains(&flag)) {
        return Vec::new();
    }
    let mut parts = address.split(',');
    let address = parts.next().unwrap_or_default();
    let address = address.split_once('@').map_or(address, |(address, _)| address);
    let Some((ip, port)) = address.rsplit_once(':') else { return Vec::new() };
    let Ok(port) = port.parse() else { return Vec::new() };
    let ip = if ip.is_empty() { host } else { ip };
    let name = parts.next().filter(|name| !name.is_empty() && !name.contains('='));
    [Some(ip), name]
        .into_iter()
        .flatten()
        .map(|it| NodeAddress { host: it.to_owned(), port })
        .collect()
}

fn parse_u16(number: &Value) -> Option<u16> {
    // Parse the number as an `i64` first. If the number is larger than a `u16`, the library would otherwise use only
    // the lowest 16 bits.
    from_redis_value_ref::<i64>(number).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])])
    }

    #[test]
    fn topology_is_parsed() {
        let slots = Value::Array(vec![
            Value::Array(vec![
                Value::Int(8192),
                Value::Int(16383),
                node(text("10.0.0.2"), 7001),
                node(text("10.0.0.3"), 7002),
            ]),
            Value::Array(vec![Value::Int(0), Value::Int(8191), node(Value::Nil, 7000)]),
        ]);
        let info = "cluster_state:ok\r\ncluster_slots_ok:16384\r\ncluster_current_epoch:6\r\n";
        let address = |host: &str, port| NodeAddress { host: host.to_owned(), port };
        let expected = Topology {
            is_ok: true,
            epoch: 6,
            ranges: vec![
                (0, 8191, address("10.0.0.1", 7000)),
                (8192, 16383, address("10.0.0.2", 7001)),
            ],
            members: HashSet::from([
                address("10.0.0.1", 7000),
                address("10.0.0.2", 7001),
                address("10.0.0.3", 7002),
                address("10.0.0.4", 7003),
                address("redis-4.example", 7003),
                address("10.0.0.1", 7005),
                address("fd00::5", 7004),
            ]),
        };
        let nodes = "\
            a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191\n\
            b 10.0.0.4:7003@17003,redis-4.example,shard-id=c master - 0 0 2 connected\n\
            c :7005@17005,,tls-port=0 slave a 0 0 2 connected\n\
            d fd00::5:7004 master - 0 0 2 connected\n\
            e 10.0.0.6:7006@17006 handshake - 0 0 0 disconnected\n\
            f :0@0 slave,noaddr a 0 0 0 disconnected\n\
            g\n";
        assert_eq!(Topology::parse(info, &slots, nodes, "10.0.0.1"), Some(expected));
        let unknown = Value::Array(vec![Value::Array(vec![
            Value::Int(0),
            Value::Int(9),
            node(text("?"), 7000),
        ])]);
        let unknown = Topology::parse(info, &unknown, "", "h").unwrap();
        assert!(unknown.ranges.is_empty() && unknown.members.is_empty());
        let fails = info.replace(":ok", ":fail");
        assert!(!Topology::parse(&fails, &slots, "", "h").unwrap().is_ok);
    }

    #[test]
    fn malformed_topology_is_rejected() {
        let info = "cluster_state:ok\r\ncluster_current_epoch:6\r\n";
        for slots in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1)])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(70_000),
                node(text("h"), 1),
            ])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(1),
                node(text("h"), -1),
            ])]),
        ] {
            assert_eq!(Topology::parse(info, &slots, "", "h"), None, "{slots:?}");
        }
        assert_eq!(Topology::parse("", &Value::Array(vec![]), "", "h"), None);
    }
}
