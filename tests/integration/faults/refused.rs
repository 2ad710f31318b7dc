//! A server that refuses: each refusal is known by its cause, costs no more than it must, and is over when it is over.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use rateguard::{Key, RateGuard, StoreError};
use redis::Connection;

use super::checks::{Checks, DEADLINE, PATIENT};
use crate::support::{
    cluster_node::{ClusterNode, SLOTS},
    eventually, log_lines,
    redis_server::{RedisServer, connections_so_far, end_connections, run, statistic},
    skipped,
};

/// Long enough to see at which pace connections are made.
const A_WHILE: Duration = Duration::from_secs(2);

/// Begins with one command what another one ends, and says how many connections were made meanwhile.
async fn refuses(
    checks: &Checks,
    client: &mut Connection,
    begin: &str,
    end: &str,
    cause: StoreError,
) -> u64 {
    checks.decided().await;
    let before = connections_so_far(client);
    let _: redis::Value = run(client, begin);
    if cause == StoreError::OutOfMemory {
        // A client can fill the memory, so this switches off no limit.
        checks.local().await;
        checks.stay_local(A_WHILE).await;
    } else {
        checks.lost(cause).await;
        checks.stay_lost(A_WHILE).await;
    }
    let made = connections_so_far(client) - before;
    let _: redis::Value = run(client, end);
    checks.decided().await;
    made
}

/// Whether a script may not write between these commands.
fn refuses_scripts(client: &mut Connection, begin: &str, end: &str) -> bool {
    let _: () = run(client, begin);
    let write = "return redis.call('SET', KEYS[1], '')";
    let is_refused = redis::cmd("EVAL").arg(write).arg(1).arg("other").exec(client).is_err();
    let _: () = run(client, end);
    is_refused
}

#[tokio::test]
async fn a_server_short_of_replicas_or_disk_is_waited_for_at_a_measured_pace() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let checks = Checks::many(redis.settings("short"));
    let (begin, end) = ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0");
    if refuses_scripts(&mut client, begin, end) {
        let made = refuses(&checks, &mut client, begin, end, StoreError::NotReady).await;
        assert!(made < 25, "{made}");
    } else {
        skipped("this server lets scripts write without replicas");
    }

    // What cannot be saved shall not be changed: MISCONF.
    redis::cmd("CONFIG").arg("SET").arg("save").arg("3600 1").exec(&mut client).unwrap();
    fs::remove_dir_all(redis.folder()).unwrap();
    assert!(redis::cmd("SAVE").exec(&mut client).is_err());
    let (begin, end) = ("BGSAVE", "CONFIG SET stop-writes-on-bgsave-error no");
    let made = refuses(&checks, &mut client, begin, end, StoreError::NotReady).await;
    assert!(made < 25, "{made}");
}

#[tokio::test]
async fn a_server_without_memory_is_asked_on_the_same_connection_and_has_written_nothing() {
    log_lines::collect();
    let redis = RedisServer::start();
    let mut client = redis.client();
    for (prefix, quotas) in [("log", "1000/hour"), ("two", "1000/hour; 1000/day fixed_window")] {
        let checks = Checks::new(redis.settings(prefix), PATIENT, quotas);
        let first = checks.decided().await.remaining();
        let (begin, end) = ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0");
        let made = refuses(&checks, &mut client, begin, end, StoreError::OutOfMemory).await;
        assert!(made < 3, "{made}");
        // Two have been counted by the way.
        assert_eq!(checks.decided().await.remaining(), first - 3);
        assert!(checks.guard.failures().local > 0);
    }
    assert!(!log_lines::with("the server has no memory left").is_empty());
}

#[tokio::test]
async fn a_server_that_is_busy_with_another_script_is_asked_on_the_same_connection() {
    let redis = RedisServer::start_with(&["--lua-time-limit", "20"]);
    let mut client = redis.client();
    let checks = Checks::new(redis.settings("busy"), PATIENT, "1000000/hour");
    checks.decided().await;
    let mut other = redis.client();
    let before = connections_so_far(&mut client);
    let busy = thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).exec(&mut other).is_err()
    });
    checks.local().await;
    checks.stay_local(A_WHILE).await;
    let _: () = run(&mut client, "SCRIPT KILL");
    assert!(busy.join().unwrap(), "it was ended");
    assert!(checks.decided().await.is_allowed());
    let made = connections_so_far(&mut client) - before;
    // On a machine that does much else, the test of the connection may have come too late.
    assert!(made < 3, "{made}");
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_asked_at_a_measured_pace() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let checks = Checks::many(redis.settings("clients"));
    checks.decided().await;
    let _: () = run(&mut client, "CONFIG SET maxclients 1");
    // Who is in stays in.
    assert!(checks.decided().await.is_allowed());
    end_connections(&mut client);
    eventually("the connection is missed", || (!checks.guard.health().is_good()).then_some(()));
    checks.stay_lost(A_WHILE).await;
    let refused = statistic(&mut client, "rejected_connections");
    assert!((1..25).contains(&refused), "{refused}");
    let _: () = run(&mut client, "CONFIG SET maxclients 1000");
    assert!(checks.decided().await.is_allowed());
}

#[tokio::test]
async fn a_password_that_was_changed_is_tried_at_a_measured_pace_until_it_is_right_again() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let _: () = run(&mut client, "CONFIG SET requirepass first");
    let _: () = run(&mut client, "AUTH first");
    let url = format!("redis://:first@127.0.0.1:{}", redis.port());
    let checks = Checks::many(RateGuard::redis(url));
    checks.decided().await;
    let _: () = run(&mut client, "CONFIG SET requirepass second");
    // Who is in stays in.
    assert!(checks.once().await.is_ok());
    end_connections(&mut client);
    checks.lost(StoreError::Authentication).await;
    let before = connections_so_far(&mut client);
    checks.stay_lost(A_WHILE).await;
    let made = connections_so_far(&mut client) - before;
    assert!((1..25).contains(&made), "{made}");
    assert_eq!(checks.guard.health().cause(), Some(StoreError::Authentication));
    let _: () = run(&mut client, "CONFIG SET requirepass first");
    assert!(checks.decided().await.is_allowed());
}

#[tokio::test]
async fn rights_that_were_withdrawn_are_missed_on_the_same_connection_until_they_are_back() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let _: () = run(&mut client, "ACL SETUSER limiter on >secret ~* +@all");
    let url = format!("redis://limiter:secret@127.0.0.1:{}", redis.port());
    let checks = Checks::many(RateGuard::redis(url));
    // To call scripts, to write what they write, and to touch the keys.
    for (begin, end) in [("-evalsha", "+evalsha"), ("-set", "+set"), ("resetkeys", "~*")] {
        let [begin, end] = [begin, end].map(|rule| format!("ACL SETUSER limiter {rule}"));
        let made = refuses(&checks, &mut client, &begin, &end, StoreError::Permission).await;
        assert!(made < 3, "{begin}: {made}");
    }
}

#[tokio::test]
async fn a_node_of_a_cluster_says_which_keys_are_elsewhere() {
    log_lines::collect();
    let nodes = [ClusterNode::start(), ClusterNode::start()];
    nodes[0].take(0..SLOTS / 2);
    nodes[1].take(SLOTS / 2..SLOTS);
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].server().port());
    let mut client = nodes[0].server().client();
    let _: () = run(&mut client, &meet);
    nodes.iter().for_each(ClusterNode::serves);

    let settings = nodes[0].server().settings("moved");
    let checks = Checks::new(settings, PATIENT, "1000000/hour");
    let before = connections_so_far(&mut client);
    let mut decided = 0;
    for number in 0..200_u32 {
        match checks.of(&Key::from(number)).await {
            Ok(decision) => decided += u32::from(decision.is_allowed()),
            Err(cause) => assert_eq!(cause, StoreError::Cluster),
        }
    }
    // Half of the slots are here, and no key of the others keeps one of them away.
    assert!((50..150).contains(&decided), "{decided}");
    let made = connections_so_far(&mut client) - before;
    assert!(made <= 1, "{made}");
    assert!(!log_lines::with("part of a cluster").is_empty());
}

#[tokio::test]
async fn a_cluster_that_is_down_is_used_as_soon_as_it_is_up() {
    let node = ClusterNode::start();
    let checks = Checks::many(node.server().settings("down"));
    checks.lost(StoreError::Cluster).await;
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        assert!(checks.once().await.is_err());
    }
    node.take(0..SLOTS);
    assert!(checks.decided().await.is_allowed());
}
