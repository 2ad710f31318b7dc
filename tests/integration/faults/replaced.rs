//! Servers that are no primary any more, or not yet: another one is looked for, at a measured pace.

use std::{fs, time::Duration};

use rateguard::{Algorithm, Key, RateGuard, StoreError};

use super::checks::{Checks, PATIENT};
use crate::support::{
    eventually,
    proxy::{Proxy, Treatment},
    redis_server::{RedisServer, connections_so_far, free_port, run},
    skipped,
};

/// A server whose replicas have its data at once.
fn primary() -> RedisServer {
    RedisServer::start_with(&["--repl-diskless-sync-delay", "0"])
}

/// Makes this server a replica of the other, and waits until it has its data.
fn follow(replica: &RedisServer, port: u16) {
    let mut client = replica.client();
    let _: () = run(&mut client, &format!("REPLICAOF 127.0.0.1 {port}"));
    eventually("it follows", || {
        let info: String = run(&mut client, "INFO replication");
        info.contains("master_link_status:up").then_some(())
    });
}

fn promote(replica: &RedisServer) {
    let _: () = run(&mut replica.client(), "REPLICAOF NO ONE");
}

/// Waits until the replica of this primary has all that has been written so far.
fn replicated(primary: &RedisServer) {
    let mut client = primary.client();
    let mut offsets = || -> Option<[u64; 2]> {
        let info: String = run(&mut client, "INFO replication");
        let (_, of_replica) = info.split_once(",offset=")?;
        let (_, of_primary) = info.split_once("master_repl_offset:")?;
        let number = |text: &str| text.split([',', '\r']).next()?.parse().ok();
        Some([number(of_replica)?, number(of_primary)?])
    };
    eventually("all is replicated", || offsets().filter(|[one, other]| one == other));
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_left_for_new_connections_at_a_measured_pace() {
    let redis = RedisServer::start();
    let checks = Checks::many(redis.settings("demoted"));
    let mut client = redis.client();
    // It may answer from its copy or not: MASTERDOWN.
    for serves_stale_data in ["yes", "no"] {
        checks.decided().await;
        let stale = format!("CONFIG SET replica-serve-stale-data {serves_stale_data}");
        let _: () = run(&mut client, &stale);
        let before = connections_so_far(&mut client);
        let _: () = run(&mut client, &format!("REPLICAOF 127.0.0.1 {}", free_port()));
        checks.lost(StoreError::NotReady).await;
        checks.stay_lost(Duration::from_secs(2)).await;
        // Another server may answer at that address now; but nobody is flooded with connections to find out.
        let _: () = run(&mut client, "REPLICAOF NO ONE");
        let made = connections_so_far(&mut client) - before;
        assert!((2..25).contains(&made), "{made}");
        assert!(checks.decided().await.is_allowed());
    }
}

#[tokio::test]
async fn a_primary_that_is_elsewhere_now_is_found_though_the_old_one_answers() {
    let (old, new) = (primary(), primary());
    follow(&new, old.port());
    let proxy = Proxy::to(old.port());
    let checks = Checks::many(RateGuard::redis(proxy.url()));
    let first = checks.decided().await.remaining();
    replicated(&old);
    promote(&new);
    let _: () = run(&mut old.client(), &format!("REPLICAOF 127.0.0.1 {}", new.port()));
    // As a name that means another address now: no connection is cut.
    proxy.lead_to(new.port());
    // The counts have moved along.
    checks.resume_without_ghosts(first).await;
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for_at_a_measured_pace() {
    const OFTEN: &str = "loading-process-events-interval-bytes";
    let known: Vec<String> =
        run(&mut RedisServer::start().client(), &format!("CONFIG GET {OFTEN}"));
    if known.is_empty() {
        skipped("this server does not say much while it loads its data");
        return;
    }
    let often = [&format!("--{OFTEN}"), "1024"];
    let slowly = ["--key-load-delay", "2000"];
    let mut redis = RedisServer::start_with(&[often, slowly].concat());
    let checks = Checks::many(redis.settings("loading"));
    let first = checks.decided().await.remaining();
    let fill = "for n = 1, 30000 do redis.call('SET', 'key:' .. n, string.rep('x', 50)) end";
    redis::cmd("EVAL").arg(fill).arg(0).exec(&mut redis.client()).unwrap();
    let _: () = run(&mut redis.client(), "SAVE");
    assert!(fs::exists(redis.folder().join("dump.rdb")).unwrap());

    redis.kill();
    redis.revive();
    checks.lost(StoreError::NotReady).await;
    let mut client = redis.client();
    let before = connections_so_far(&mut client);
    checks.stay_lost(Duration::from_secs(2)).await;
    let made = connections_so_far(&mut client) - before;
    assert!((2..25).contains(&made), "{made}");
    let _: () = run(&mut client, "CONFIG SET key-load-delay 0");
    // It has kept the count.
    checks.resume_without_ghosts(first).await;
}

/// Takes so many for a key of each algorithm, and says how many of them were admitted.
async fn take(checks: &[(Checks, Key)], number: usize) -> Vec<usize> {
    let mut admitted = Vec::new();
    for (checks, key) in checks {
        admitted.push(checks.admitted(key, number).await);
    }
    admitted
}

fn of_every_algorithm(url: &str) -> Vec<(Checks, Key)> {
    Algorithm::NAMES
        .into_iter()
        .map(|(_, name)| {
            let settings = RateGuard::redis(url);
            (Checks::new(settings, PATIENT, &format!("10/365d {name}")), Key::from(name))
        })
        .collect()
}

#[tokio::test]
async fn after_a_failover_no_more_pass_again_than_the_replica_had_not_heard_of() {
    let (mut old, new) = (primary(), RedisServer::start());
    let replication = Proxy::to(old.port());
    follow(&new, replication.port());
    let proxy = Proxy::to(old.port());
    let checks = of_every_algorithm(&proxy.url());
    assert_eq!(take(&checks, 6).await, [6; 4]);
    replicated(&old);
    // The replica lags behind when its primary dies.
    replication.treat(Treatment { holds_replies: true, ..Treatment::default() });
    assert_eq!(take(&checks, 5).await, [4; 4]);
    promote(&new);
    old.kill();
    proxy.lead_to(new.port());
    // Ten were admitted, of which it knows six.
    assert_eq!(take(&checks, 20).await, [4; 4]);
}

#[tokio::test]
async fn two_primaries_admit_two_limits_at_the_most_and_one_again_once_there_is_one() {
    let (one, other) = (primary(), primary());
    follow(&other, one.port());
    let ways = [Proxy::to(one.port()), Proxy::to(one.port())];
    let clients = [0, 1].map(|number| of_every_algorithm(&ways[number].url()));
    for client in &clients {
        assert_eq!(take(client, 2).await, [2; 4]);
    }
    replicated(&one);
    // Nobody tells the old one, which half of the clients still reach.
    promote(&other);
    ways[1].lead_to(other.port());
    ways[1].cut();
    for client in &clients {
        assert_eq!(take(client, 20).await, [6; 4]);
    }
    // The network is whole again, and the old one becomes a replica.
    follow(&one, other.port());
    ways[0].lead_to(other.port());
    for client in &clients {
        assert_eq!(take(client, 5).await, [0; 4]);
    }
}
