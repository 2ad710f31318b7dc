//! Tests servers that are not the primary any more. The guard must reconnect with backoff until it finds the primary.

use std::{fs, time::Duration};

use actix_rateguard::{Algorithm, Key, RateGuard, StoreError};

use super::checks::{Checks, LONG_DEADLINE};
use crate::support::{
    eventually,
    proxy::{NetworkFaults, Proxy},
    redis_server::{RedisServer, free_port, run, total_connections},
    skipped,
};

/// Starts a Redis server that sends its data to a new replica without a delay.
fn primary() -> RedisServer {
    RedisServer::start_with(&["--repl-diskless-sync-delay", "0"])
}

/// Makes the server `replica` a replica of the server at `port`, and waits until it has all data.
fn make_replica(replica: &RedisServer, port: u16) {
    let mut client = replica.client();
    let _: () = run(&mut client, &format!("REPLICAOF 127.0.0.1 {port}"));
    eventually("the replica is in sync", || {
        let info: String = run(&mut client, "INFO replication");
        info.contains("master_link_status:up").then_some(())
    });
}

fn promote(replica: &RedisServer) {
    let _: () = run(&mut replica.client(), "REPLICAOF NO ONE");
}

/// Waits until the replica of this primary has received all writes that the primary executed before the call.
fn wait_for_replication(primary: &RedisServer) {
    let mut client = primary.client();
    let mut offsets = || -> Option<[u64; 2]> {
        let info: String = run(&mut client, "INFO replication");
        let (_, replica_offset) = info.split_once(",offset=")?;
        let (_, primary_offset) = info.split_once("master_repl_offset:")?;
        let number = |text: &str| text.split([',', '\r']).next()?.parse().ok();
        Some([number(replica_offset)?, number(primary_offset)?])
    };
    eventually("all writes are replicated", || offsets().filter(|[one, other]| one == other));
}

#[tokio::test]
async fn demoted_primary_is_reconnected_with_backoff() {
    let redis = RedisServer::start();
    let checks = Checks::with_short_deadline(redis.settings("demoted"));
    let mut client = redis.client();
    // With the value `no`, a replica that has lost its primary replies with MASTERDOWN. With `yes`, it serves old
    // data.
    for serves_stale_data in ["yes", "no"] {
        checks.wait_for_decision().await;
        let stale = format!("CONFIG SET replica-serve-stale-data {serves_stale_data}");
        let _: () = run(&mut client, &stale);
        let before = total_connections(&mut client);
        let _: () = run(&mut client, &format!("REPLICAOF 127.0.0.1 {}", free_port()));
        checks.wait_for_error(StoreError::NotReady(None)).await;
        checks.assert_undecided_for(Duration::from_secs(2)).await;
        // The guard must reconnect, because the address may now lead to a different server. It must not reconnect too
        // often.
        let _: () = run(&mut client, "REPLICAOF NO ONE");
        let made = total_connections(&mut client) - before;
        assert!((1..25).contains(&made), "{made}");
        assert!(checks.wait_for_decision().await.is_allowed());
    }
}

#[tokio::test]
async fn new_primary_is_found_although_old_one_still_replies() {
    let (old, new) = (primary(), primary());
    make_replica(&new, old.port());
    let proxy = Proxy::to(old.port());
    let checks = Checks::with_short_deadline(RateGuard::redis(proxy.url()).prefix("test"));
    let first = checks.wait_for_decision().await.remaining();
    wait_for_replication(&old);
    promote(&new);
    let _: () = run(&mut old.client(), &format!("REPLICAOF 127.0.0.1 {}", new.port()));
    // Only new connections lead to the new primary, as after a change in DNS. Therefore the guard must reconnect.
    proxy.set_upstream(new.port());
    // The new primary must have the counts of the old primary.
    checks.assert_no_late_counts(first).await;
}

#[tokio::test]
async fn loading_server_is_reconnected_with_backoff() {
    const EVENT_INTERVAL: &str = "loading-process-events-interval-bytes";
    let values: Vec<String> =
        run(&mut RedisServer::start().client(), &format!("CONFIG GET {EVENT_INTERVAL}"));
    if values.is_empty() {
        skipped("this server replies too rarely while it loads its data");
        return;
    }
    let frequent_events = [&format!("--{EVENT_INTERVAL}"), "1024"];
    let slow_load = ["--key-load-delay", "2000"];
    let mut redis = RedisServer::start_with(&[frequent_events, slow_load].concat());
    let checks = Checks::with_short_deadline(redis.settings("loading"));
    let first = checks.wait_for_decision().await.remaining();
    let fill = "for n = 1, 30000 do redis.call('SET', 'key:' .. n, string.rep('x', 50)) end";
    redis::cmd("EVAL").arg(fill).arg(0).exec(&mut redis.client()).unwrap();
    let _: () = run(&mut redis.client(), "SAVE");
    assert!(fs::exists(redis.folder().join("dump.rdb")).unwrap());

    redis.kill();
    redis.restart_with_data();
    checks.wait_for_error(StoreError::NotReady(None)).await;
    let mut client = redis.client();
    let before = total_connections(&mut client);
    checks.assert_undecided_for(Duration::from_secs(2)).await;
    let made = total_connections(&mut client) - before;
    assert!((1..25).contains(&made), "{made}");
    let _: () = run(&mut client, "CONFIG SET key-load-delay 0");
    // The server has loaded its data, so it has the count from before the crash.
    checks.assert_no_late_counts(first).await;
}

/// Checks each key `number` times. Each key uses a different algorithm. Returns how many checks of each key were
/// admitted.
async fn count_admitted(checks: &[(Checks, Key)], number: usize) -> Vec<usize> {
    let mut admitted = Vec::new();
    for (checks, key) in checks {
        admitted.push(checks.count_admitted(key, number).await);
    }
    admitted
}

fn checks_of_every_algorithm(url: &str) -> Vec<(Checks, Key)> {
    Algorithm::NAMES
        .into_iter()
        .map(|(_, name)| {
            let settings = RateGuard::redis(url).prefix("test");
            (Checks::new(settings, LONG_DEADLINE, &format!("10/365d {name}")), Key::from(name))
        })
        .collect()
}

#[tokio::test]
async fn failover_readmits_only_units_missing_on_the_replica() {
    let (mut old, new) = (primary(), RedisServer::start());
    let replication = Proxy::to(old.port());
    make_replica(&new, replication.port());
    let proxy = Proxy::to(old.port());
    let checks = checks_of_every_algorithm(&proxy.url());
    assert_eq!(count_admitted(&checks, 6).await, [6; 4]);
    wait_for_replication(&old);
    // From now on, the replica receives no writes of its primary. Therefore the next checks are missing on the
    // replica.
    replication.set_faults(NetworkFaults { stalls_replies: true, ..NetworkFaults::default() });
    assert_eq!(count_admitted(&checks, 5).await, [4; 4]);
    promote(&new);
    old.kill();
    proxy.set_upstream(new.port());
    // The old primary admitted ten checks, but the replica received only six of them. Therefore the replica admits four
    // more checks.
    assert_eq!(count_admitted(&checks, 20).await, [4; 4]);
}

#[tokio::test]
async fn two_primaries_admit_at_most_twice_the_limit() {
    let (one, other) = (primary(), primary());
    make_replica(&other, one.port());
    let proxies = [Proxy::to(one.port()), Proxy::to(one.port())];
    let clients = [0, 1].map(|number| checks_of_every_algorithm(&proxies[number].url()));
    for client in &clients {
        assert_eq!(count_admitted(client, 2).await, [2; 4]);
    }
    wait_for_replication(&one);
    // The old primary is not demoted, and half of the clients still send their checks to it.
    promote(&other);
    proxies[1].set_upstream(other.port());
    proxies[1].disconnect_all();
    for client in &clients {
        assert_eq!(count_admitted(client, 20).await, [6; 4]);
    }
    // When the network partition ends, the old primary becomes a replica.
    make_replica(&one, other.port());
    proxies[0].set_upstream(other.port());
    for client in &clients {
        assert_eq!(count_admitted(client, 5).await, [0; 4]);
    }
}
