//! Which node serves which slots, as a node tells it.

use std::{collections::HashSet, time::Duration};

use redis::{
    RedisResult, Value, aio::MultiplexedConnection, from_redis_value, from_redis_value_ref,
};
use tokio::time::timeout;

use super::Address;
use crate::store::{StoreError, redis::error::classify};

/// How long a node may take to tell.
pub(super) const TELL_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// Whether the node is in touch with most of the masters. One that is not may have missed a failover.
    pub(super) is_ok: bool,
    /// Grows with each failover.
    pub(super) epoch: u64,
    /// First slot, last slot, and their master; in order.
    pub(super) ranges: Vec<(u16, u16, Address)>,
    /// The nodes of the cluster, also replicas and masters without slots.
    pub(super) members: HashSet<Address>,
}

impl Topology {
    /// Asks the node at this host.
    pub(super) async fn of(
        mut connection: MultiplexedConnection,
        host: &str,
    ) -> Result<Self, StoreError> {
        let mut questions = redis::pipe();
        questions.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
        questions.cmd("CLUSTER").arg("NODES");
        let asking = connection.send_packed_commands(&questions, 0, 3);
        let answers = timeout(TELL_TIMEOUT, asking).await.map_err(|_| StoreError::Timeout)?;
        let mut nodes = String::new();
        let answers = answers.and_then(|mut answers| {
            // A user who may not ask for it knows the nodes that serve slots, and their replicas.
            let answer = answers.pop().unwrap_or(Value::Nil).extract_error();
            nodes = answer.and_then(|it| Ok(from_redis_value(it)?)).unwrap_or_default();
            answers.into_iter().map(Value::extract_error).collect::<RedisResult<Vec<_>>>()
        });
        let answers = answers.map_err(|error| match classify(&error) {
            // It is no part of a cluster, and says so.
            StoreError::InvalidReply => StoreError::NotReady,
            cause => cause,
        })?;
        let read = |answers| {
            let [info, slots] = <[Value; 2]>::try_from(answers).ok()?;
            Self::read(&from_redis_value::<String>(info).ok()?, &slots, &nodes, host)
        };
        read(answers).ok_or(StoreError::InvalidReply)
    }

    fn read(info: &str, slots: &Value, nodes: &str, host: &str) -> Option<Self> {
        let field = |name| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let Value::Array(slots) = slots else { return None };
        let mut members: HashSet<Address> =
            slots.iter().flat_map(|it| replicas(it, host)).collect();
        members.extend(nodes.lines().flat_map(|line| addresses(line, host)));
        let ranges: Vec<_> =
            slots.iter().map(|range| read_range(range, host)).collect::<Option<_>>()?;
        // A node that does not know the name of another says `?`: it is as if nobody served its slots.
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

/// `[first, last, [host, port, …], replicas…]`. An empty host is that of the node that told.
fn read_range(range: &Value, host: &str) -> Option<(u16, u16, Address)> {
    let Value::Array(range) = range else { return None };
    let [first, last, master, ..] = range.as_slice() else { return None };
    Some((read_u16(first)?, read_u16(last)?, read_node(master, host)?))
}

/// The replicas of such a range.
fn replicas(range: &Value, host: &str) -> Vec<Address> {
    let Value::Array(range) = range else { return Vec::new() };
    range.iter().skip(3).filter_map(|replica| read_node(replica, host)).collect()
}

/// `[host, port, …]`.
fn read_node(node: &Value, host: &str) -> Option<Address> {
    let Value::Array(node) = node else { return None };
    let [name, port, ..] = node.as_slice() else { return None };
    let name = match name {
        Value::Nil => String::new(),
        name => from_redis_value_ref(name).ok()?,
    };
    let host = if name.is_empty() { host.to_owned() } else { name };
    Some(Address { host, port: read_u16(port)? })
}

/// The addresses in a line of `CLUSTER NODES`, by IP address and by name: `id ip:port@bus-port,name,… flags …`.
fn addresses(line: &str, host: &str) -> Vec<Address> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (Some(address), Some(flags)) = (fields.next(), fields.next()) else { return Vec::new() };
    // One that was only just heard of is not in the cluster yet, and of one without an address there is none.
    if flags.split(',').any(|flag| ["handshake", "noaddr"].contains(&flag)) {
        return Vec::new();
    }
    let mut parts = address.split(',');
    let place = parts.next().unwrap_or_default();
    let place = place.split_once('@').map_or(place, |(place, _)| place);
    let Some((ip, port)) = place.rsplit_once(':') else { return Vec::new() };
    let Ok(port) = port.parse() else { return Vec::new() };
    let ip = if ip.is_empty() { host } else { ip };
    let name = parts.next().filter(|name| !name.is_empty() && !name.contains('='));
    [Some(ip), name].into_iter().flatten().map(|it| Address { host: it.to_owned(), port }).collect()
}

fn read_u16(number: &Value) -> Option<u16> {
    // Into a smaller number the library would cut it.
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
    fn what_a_node_tells_is_read() {
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
        let address = |host: &str, port| Address { host: host.to_owned(), port };
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
        assert_eq!(Topology::read(info, &slots, nodes, "10.0.0.1"), Some(expected));
        let unknown = Value::Array(vec![Value::Array(vec![
            Value::Int(0),
            Value::Int(9),
            node(text("?"), 7000),
        ])]);
        let unknown = Topology::read(info, &unknown, "", "h").unwrap();
        assert!(unknown.ranges.is_empty() && unknown.members.is_empty());
        let fails = info.replace(":ok", ":fail");
        assert!(!Topology::read(&fails, &slots, "", "h").unwrap().is_ok);
    }

    #[test]
    fn nothing_else_is_taken_for_it() {
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
            assert_eq!(Topology::read(info, &slots, "", "h"), None, "{slots:?}");
        }
        assert_eq!(Topology::read("", &Value::Array(vec![]), "", "h"), None);
    }
}
