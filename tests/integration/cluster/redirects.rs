//! Redirects: the password goes to nodes of the cluster alone.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use rateguard::{Key, Policy, RateGuard};

use crate::support::{
    PATIENCE,
    fake_redis::{FakeRedis, bulk},
};

/// What a node says of its cluster.
struct View {
    /// The port of the master of all slots.
    master: u16,
    /// The lines of `CLUSTER NODES`.
    nodes: String,
}

/// The answer of a node of a cluster to all commands but scripts.
fn everyday(command: &[String], view: &View) -> String {
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

fn line(port: u16) -> String {
    format!("id-{port} 127.0.0.1:{port}@1 master - 0 0 1 connected\n")
}

fn guard(port: u16) -> RateGuard {
    let url = format!("redis+cluster://user:hunter2@127.0.0.1:{port}");
    let settings = RateGuard::redis(url).deadline(PATIENCE);
    settings.remember_denials(Duration::ZERO).build().unwrap()
}

async fn check(guard: &RateGuard) -> bool {
    guard.check(&Policy::new("p", "5/hour").unwrap(), &Key::from("k")).await.is_ok()
}

#[tokio::test]
async fn redirect_to_a_host_outside_the_cluster_is_not_followed() {
    for kind in ["MOVED", "ASK"] {
        let stranger = FakeRedis::start(|_| "+OK\r\n".to_owned());
        let strange_port = stranger.port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = FakeRedis::listen(listener, move |command| {
            if is_script(command) {
                return format!("-{kind} 0 127.0.0.1:{strange_port}\r\n");
            }
            everyday(command, &View { master: port, nodes: line(port) })
        });
        let guard = guard(port);
        for _ in 0..3 {
            assert!(!check(&guard).await, "{kind}");
        }
        assert!(node.has("EVALSHA") || node.has("EVAL"), "{:?}", node.commands());
        let login = node.commands().into_iter().find(|command| command[0] == "AUTH");
        assert_eq!(login.unwrap(), ["AUTH", "user", "hunter2"]);
        assert_eq!(stranger.commands(), Vec::<Vec<String>>::new(), "{kind}");
    }
}

#[tokio::test]
async fn redirect_to_a_new_node_is_followed_once_the_map_names_it() {
    // By its slots, and as a master that has none yet.
    for (kind, has_slots) in [("MOVED", true), ("MOVED", false), ("ASK", false)] {
        let other = FakeRedis::start(|command| {
            if is_script(command) {
                return "-ERR no more is needed here\r\n".to_owned();
            }
            "+OK\r\n".to_owned()
        });
        let other_port = other.port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_known = Arc::new(AtomicBool::new(false));
        let _node = FakeRedis::listen(listener, move |command| {
            if is_script(command) {
                // From now on it is in the map, which has to be asked for.
                is_known.store(true, SeqCst);
                return format!("-{kind} 0 127.0.0.1:{other_port}\r\n");
            }
            let view = match (is_known.load(SeqCst), has_slots) {
                (false, _) => View { master: port, nodes: line(port) },
                (true, true) => View { master: other_port, nodes: String::new() },
                (true, false) => View { master: port, nodes: line(port) + &line(other_port) },
            };
            everyday(command, &view)
        });
        assert!(!check(&guard(port)).await, "its answer is an error");
        assert!(other.has("EVALSHA") || other.has("EVAL"), "{kind}: {:?}", other.commands());
        assert!(other.has("AUTH"));
    }
}
