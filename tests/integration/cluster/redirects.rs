//! Tests redirects from one cluster node to another. The guard must send its password only to nodes that belong to the
//! cluster.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{Key, Policy, RateGuard};

use crate::support::{
    TEST_TIMEOUT,
    fake_redis::{FakeRedis, bulk},
};

/// The state of the cluster, as a node describes it in its replies.
struct View {
    /// The port of the only master, which serves all cluster slots.
    master: u16,
    /// The lines of the reply to `CLUSTER NODES`.
    nodes: String,
}

/// Returns the reply of a cluster node to a command that is not a call of the script.
fn topology_reply(command: &[String], view: &View) -> String {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words[..] {
        ["ROLE"] => "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n".to_owned(),
        ["TIME"] => "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n".to_owned(),
        ["CLUSTER", "INFO"] => bulk("cluster_state:ok\r\ncluster_current_epoch:1\r\n"),
        ["CLUSTER", "SLOTS"] => format!(
            "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n{}:{}\r\n{}",
            bulk("127.0.0.1"),
            view.master,
            bulk("id")
        ),
        ["CLUSTER", "NODES"] => bulk(&view.nodes),
        _ => "+OK\r\n".to_owned(),
    }
}

fn is_script(command: &[String]) -> bool {
    ["EVALSHA", "EVAL"].contains(&command[0].as_str())
}

fn node_line(port: u16) -> String {
    format!("id-{port} 127.0.0.1:{port}@1 master - 0 0 1 connected\n")
}

fn guard(port: u16) -> RateGuard {
    let url = format!("redis+cluster://user:hunter2@127.0.0.1:{port}");
    let settings = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT);
    settings.denial_cache_ttl(Duration::ZERO).build().unwrap()
}

async fn check(guard: &RateGuard) -> bool {
    guard.check(&Policy::new("p", "5/hour").unwrap(), &Key::from("k")).await.is_ok()
}

#[tokio::test]
async fn redirect_to_a_host_outside_the_cluster_is_not_followed() {
    for kind in ["MOVED", "ASK"] {
        let outsider = FakeRedis::start(|_| "+OK\r\n".to_owned());
        let outsider_port = outsider.port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = FakeRedis::listen(listener, move |command| {
            if is_script(command) {
                return format!("-{kind} 0 127.0.0.1:{outsider_port}\r\n");
            }
            topology_reply(command, &View { master: port, nodes: node_line(port) })
        });
        let guard = guard(port);
        for _ in 0..3 {
            assert!(!check(&guard).await, "{kind}");
        }
        assert!(node.has("EVALSHA") || node.has("EVAL"), "{:?}", node.commands());
        let login = node.commands().into_iter().find(|command| command[0] == "AUTH");
        assert_eq!(login.unwrap(), ["AUTH", "user", "hunter2"]);
        assert_eq!(outsider.commands(), Vec::<Vec<String>>::new(), "{kind}");
    }
}

#[tokio::test]
async fn redirect_to_new_node_is_followed_after_map_refresh() {
    // In the cluster map, the new node is a master. It has slots in the first case, and no slots in the other two
    // cases.
    for (kind, has_slots) in [("MOVED", true), ("MOVED", false), ("ASK", false)] {
        let other = FakeRedis::start(|command| {
            if is_script(command) {
                return "-ERR the test needs no decision\r\n".to_owned();
            }
            "+OK\r\n".to_owned()
        });
        let other_port = other.port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_in_map = Arc::new(AtomicBool::new(false));
        let _node = FakeRedis::listen(listener, move |command| {
            if is_script(command) {
                // From this redirect on, the cluster map contains the new node. The guard must request the map before
                // it connects to this node.
                is_in_map.store(true, SeqCst);
                return format!("-{kind} 0 127.0.0.1:{other_port}\r\n");
            }
            let view = match (is_in_map.load(SeqCst), has_slots) {
                (false, _) => View { master: port, nodes: node_line(port) },
                (true, true) => View { master: other_port, nodes: String::new() },
                (true, false) => {
                    View { master: port, nodes: node_line(port) + &node_line(other_port) }
                }
            };
            topology_reply(command, &view)
        });
        assert!(!check(&guard(port)).await, "the new node replies with an error");
        assert!(other.has("EVALSHA") || other.has("EVAL"), "{kind}: {:?}", other.commands());
        assert!(other.has("AUTH"));
    }
}
