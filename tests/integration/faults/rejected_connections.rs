//! Tests servers that reject connections or commands. The guard must report the cause, must not reconnect too often,
//! and must recover after the fault.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, RateGuard, StoreError};
use redis::Connection;

use super::checks::{Checks, DEADLINE, LONG_DEADLINE};
use crate::support::{
    cluster_node::{ClusterNode, SLOTS},
    eventually, log_lines,
    redis_server::{RedisServer, info_stat, kill_connections, run, total_connections},
    skipped,
};

/// The duration of a fault. It is long enough to measure how often the guard reconnects.
const FAULT_DURATION: Duration = Duration::from_secs(2);

/// Starts a fault with the command `begin`, and ends it with the command `end`. Returns the number of connections
/// that the guard opened during the fault.
async fn connections_during_fault(
    checks: &Checks,
    client: &mut Connection,
    begin: &str,
    end: &str,
    cause: StoreError,
) -> u64 {
    checks.wait_for_decision().await;
    let before = total_connections(client);
    let _: redis::Value = run(client, begin);
    if cause == StoreError::OutOfMemory {
        // Clients can cause this fault by filling the memory of Redis. Therefore the guard must enforce the limits with
        // counts in the memory of its process.
        checks.wait_for_local_decision().await;
        checks.assert_local_for(FAULT_DURATION).await;
    } else {
        checks.wait_for_error(cause).await;
        checks.assert_undecided_for(FAULT_DURATION).await;
    }
    let made = total_connections(client) - before;
    let _: redis::Value = run(client, end);
    checks.wait_for_decision().await;
    made
}

/// Returns whether the server rejects the writes of a script after the command `begin`. The command `end` restores
/// the server.
fn rejects_script_writes(client: &mut Connection, begin: &str, end: &str) -> bool {
    let _: () = run(client, begin);
    let write = "return redis.call('SET', KEYS[1], '')";
    let is_rejected = redis::cmd("EVAL").arg(write).arg(1).arg("other").exec(client).is_err();
    let _: () = run(client, end);
    is_rejected
}

#[tokio::test]
async fn server_without_replicas_or_disk_is_reconnected_with_backoff() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let checks = Checks::with_short_deadline(redis.settings("short"));
    let (begin, end) = ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0");
    if rejects_script_writes(&mut client, begin, end) {
        let made =
            connections_during_fault(&checks, &mut client, begin, end, StoreError::NotReady(None))
                .await;
        assert!(made < 25, "{made}");
    } else {
        skipped("this server lets scripts write without replicas");
    }

    // A server that cannot save its data rejects write commands with MISCONF.
    redis::cmd("CONFIG").arg("SET").arg("save").arg("3600 1").exec(&mut client).unwrap();
    fs::remove_dir_all(redis.folder()).unwrap();
    assert!(redis::cmd("SAVE").exec(&mut client).is_err());
    let (begin, end) = ("BGSAVE", "CONFIG SET stop-writes-on-bgsave-error no");
    let made =
        connections_during_fault(&checks, &mut client, begin, end, StoreError::NotReady(None))
            .await;
    assert!(made < 25, "{made}");
}

#[tokio::test]
async fn server_out_of_memory_reuses_connection_and_writes_nothing() {
    log_lines::collect();
    let redis = RedisServer::start();
    let mut client = redis.client();
    for (prefix, quotas) in [("log", "1000/hour"), ("two", "1000/hour; 1000/day fixed_window")] {
        let checks = Checks::new(redis.settings(prefix), LONG_DEADLINE, quotas);
        let first = checks.wait_for_decision().await.remaining();
        let (begin, end) = ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0");
        let made =
            connections_during_fault(&checks, &mut client, begin, end, StoreError::OutOfMemory)
                .await;
        assert!(made < 3, "{made}");
        // After the decision `first`, Redis has counted three checks: one before the fault, one after the fault, and
        // the check in the next line.
        assert_eq!(checks.wait_for_decision().await.remaining(), first - 3);
        assert!(checks.guard.failures().local > 0);
    }
    assert!(!log_lines::with("the server has no memory left").is_empty());
}

#[tokio::test]
async fn server_busy_with_another_script_reuses_the_connection() {
    let redis = RedisServer::start_with(&["--lua-time-limit", "20"]);
    let mut client = redis.client();
    let checks = Checks::new(redis.settings("busy"), LONG_DEADLINE, "1000000/hour");
    checks.wait_for_decision().await;
    let mut other = redis.client();
    let before = total_connections(&mut client);
    let busy = thread::spawn(move || {
        redis::cmd("EVAL").arg("while true do end").arg(0).exec(&mut other).is_err()
    });
    checks.wait_for_local_decision().await;
    checks.assert_local_for(FAULT_DURATION).await;
    let _: () = run(&mut client, "SCRIPT KILL");
    assert!(busy.join().unwrap(), "the script was not killed");
    assert!(checks.wait_for_decision().await.is_allowed());
    let made = total_connections(&mut client) - before;
    // On a busy machine, a heartbeat may have taken too long. Then the guard has reconnected.
    assert!(made < 3, "{made}");
}

#[tokio::test]
async fn server_with_too_many_clients_is_reconnected_with_backoff() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let checks = Checks::with_short_deadline(redis.settings("clients"));
    checks.wait_for_decision().await;
    let _: () = run(&mut client, "CONFIG SET maxclients 1");
    // The server still accepts commands on the existing connection.
    assert!(checks.wait_for_decision().await.is_allowed());
    kill_connections(&mut client);
    eventually("the closed connection is detected", || {
        (!checks.guard.health().is_good()).then_some(())
    });
    checks.assert_undecided_for(FAULT_DURATION).await;
    let rejected = info_stat(&mut client, "rejected_connections");
    assert!((1..25).contains(&rejected), "{rejected}");
    let _: () = run(&mut client, "CONFIG SET maxclients 1000");
    assert!(checks.wait_for_decision().await.is_allowed());
}

#[tokio::test]
async fn changed_password_is_retried_with_backoff_until_restored() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let _: () = run(&mut client, "CONFIG SET requirepass first");
    let _: () = run(&mut client, "AUTH first");
    let url = format!("redis://:first@127.0.0.1:{}", redis.port());
    let checks = Checks::with_short_deadline(RateGuard::redis(url).prefix("test"));
    checks.wait_for_decision().await;
    let _: () = run(&mut client, "CONFIG SET requirepass second");
    // The server still accepts commands on the existing connection.
    assert!(checks.check_global().await.is_ok());
    kill_connections(&mut client);
    checks.wait_for_error(StoreError::Authentication).await;
    let before = total_connections(&mut client);
    checks.assert_undecided_for(FAULT_DURATION).await;
    let made = total_connections(&mut client) - before;
    assert!((1..25).contains(&made), "{made}");
    assert_eq!(checks.guard.health().cause(), Some(StoreError::Authentication));
    let _: () = run(&mut client, "CONFIG SET requirepass first");
    assert!(checks.wait_for_decision().await.is_allowed());
}

#[tokio::test]
async fn revoked_permissions_reuse_the_connection_until_restored() {
    let redis = RedisServer::start();
    let mut client = redis.client();
    let _: () = run(&mut client, "ACL SETUSER limiter on >secret ~* +@all");
    let url = format!("redis://limiter:secret@127.0.0.1:{}", redis.port());
    let checks = Checks::with_short_deadline(RateGuard::redis(url).prefix("test"));
    // Each of these changes removes a permission: to call scripts, to write in a script, or to access the keys.
    for (begin, end) in [("-evalsha", "+evalsha"), ("-append", "+append"), ("resetkeys", "~*")] {
        let [begin, end] = [begin, end].map(|rule| format!("ACL SETUSER limiter {rule}"));
        let made =
            connections_during_fault(&checks, &mut client, &begin, &end, StoreError::Permission)
                .await;
        assert!(made < 3, "{begin}: {made}");
    }
}

#[tokio::test]
async fn plain_url_of_cluster_node_decides_only_its_keys() {
    log_lines::collect();
    let nodes = [ClusterNode::start(), ClusterNode::start()];
    nodes[0].assign_slots(0..SLOTS / 2);
    nodes[1].assign_slots(SLOTS / 2..SLOTS);
    let meet = format!("CLUSTER MEET 127.0.0.1 {}", nodes[1].server().port());
    let mut client = nodes[0].server().client();
    let _: () = run(&mut client, &meet);
    nodes.iter().for_each(ClusterNode::wait_until_ready);

    let settings = nodes[0].server().settings("moved");
    let checks = Checks::new(settings, LONG_DEADLINE, "1000000/hour");
    let before = total_connections(&mut client);
    let mut decided = 0;
    for number in 0..200_u32 {
        match checks.check(&Key::from(number)).await {
            Ok(decision) => decided += u32::from(decision.is_allowed()),
            Err(cause) => assert_eq!(cause, StoreError::Cluster),
        }
    }
    // This node has half of the cluster slots. Errors for keys in the other half must not affect keys on this node.
    assert!((50..150).contains(&decided), "{decided}");
    // The I/O thread and this worker have one connection each.
    let made = total_connections(&mut client) - before;
    assert!(made <= 2, "{made}");
    assert!(!log_lines::with("part of a cluster").is_empty());
}

#[tokio::test]
async fn cluster_that_was_down_is_used_when_slots_are_served() {
    let node = ClusterNode::start();
    let checks = Checks::with_short_deadline(node.server().settings("down"));
    checks.wait_for_error(StoreError::Cluster).await;
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        assert!(checks.check_global().await.is_err());
    }
    node.assign_slots(0..SLOTS);
    assert!(checks.wait_for_decision().await.is_allowed());
}
