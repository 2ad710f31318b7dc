//! Tests a healthy cluster. The keys are distributed over all masters, all operations work, and the store passes the
//! conformance suite.

use actix_rateguard::{
    Algorithm, Key, Policy, RateGuard, StoreError,
    test_util::{Time, conformance},
};
use futures_util::future::join_all;
use redis::Commands;

use super::{guard, masters_of_keys, slot};
use crate::{
    deployments::{COMMANDS, use_all_operations},
    support::{
        TEST_TIMEOUT,
        redis_cluster::RedisCluster,
        redis_server::{RedisServer, free_port, url},
    },
};

#[tokio::test]
async fn keys_spread_over_masters_with_exact_limits() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "spread");
    let masters = masters_of_keys(&cluster, &guard, "spread", 300).await;
    for master in 0..3 {
        let on_master = masters.iter().filter(|it| **it == master).count();
        assert!(on_master > 50, "{on_master} of 300 on master {master}");
    }

    // All quotas of a key are in the same slot, so one call of the script decides all of them.
    let policy = Policy::new("p", "5/hour; 7/day; 100/7d token_bucket").unwrap();
    for user in 0..20_u32 {
        let key = Key::from(("user", user));
        let checks = join_all((0..10).map(|_| guard.check(&policy, &key))).await;
        let admitted = checks.into_iter().filter(|it| it.as_ref().unwrap().is_allowed()).count();
        assert_eq!(admitted, 5);
    }
    let mut client = cluster.nodes[0].client();
    let names: Vec<String> = client.keys("spread:*:p*").unwrap();
    assert_eq!(names.len() % 3, 0, "{names:?}");
    for names in names.chunks(3).take(1) {
        let tag = names[0].split(['{', '}']).nth(1).unwrap();
        assert_eq!(slot(&mut client, &names[0]), slot(&mut client, tag));
    }
}

#[tokio::test]
async fn cluster_store_conforms() {
    let cluster = RedisCluster::start();
    let all = Algorithm::NAMES.map(|(algorithm, _)| algorithm);
    conformance(guard(&cluster, "conformance").store(), Time::Real, &all).await;
}

#[tokio::test]
async fn cross_slot_request_decides_keys_one_after_another() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "cross-slot");
    let user = Policy::new("user", "10/hour").unwrap();
    let tenant = Policy::new("tenant", "4/hour").unwrap();
    // Some of the 12 users are stored on a different master than their tenant, so their requests need two masters.
    for number in 0..12_u32 {
        let (ann, acme) = (Key::from(("user", number)), Key::from(("tenant", number)));
        for check in 0..6 {
            let decision = guard.request(&user, &ann).and(&tenant, &acme).check().await.unwrap();
            assert_eq!(decision.is_allowed(), check < 4);
        }
        // The limit of the tenant denied two of the checks, and the guard refunded the units that these checks had
        // taken from the user's key.
        assert_eq!(guard.peek(&user, &ann).await.unwrap().remaining(), 6);
    }
}

#[tokio::test]
async fn least_privileged_user_runs_all_operations() {
    let cluster = RedisCluster::start();
    for node in &cluster.nodes {
        let mut user = redis::cmd("ACL");
        user.arg("SETUSER").arg("limiter").arg("reset").arg("on").arg(">secret").arg("~app:*");
        for command in COMMANDS.iter().chain(&["cluster|info", "cluster|slots", "asking"]) {
            user.arg(format!("+{command}"));
        }
        user.exec(&mut node.client()).unwrap();
    }
    let url = cluster.url().replace("://", "://limiter:secret@");
    let guard = RateGuard::redis(url).prefix("app").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn unreachable_url_nodes_are_skipped() {
    let cluster = RedisCluster::start();
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        free_port(),
        // A replica can also report the map of the whole cluster, so the guard may connect to it first.
        cluster.nodes[4].port()
    );
    let guard = RateGuard::redis(url).prefix("some").deadline(TEST_TIMEOUT).build().unwrap();
    assert!(masters_of_keys(&cluster, &guard, "some", 60).await.contains(&2));
}

#[tokio::test]
async fn mismatched_cluster_url_reports_the_cause() {
    let plain = RedisServer::start();
    let policy = Policy::new("p", "5/hour").unwrap();
    for (port, expected) in
        [(plain.port(), StoreError::WrongServerKind), (free_port(), StoreError::Unreachable(None))]
    {
        let url = url(port).replace("redis://", "redis+cluster://");
        let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), expected);
        assert_eq!(guard.health().cause(), Some(expected));
    }
    // This server is a cluster node, but the URL is that of a single server. The node redirects most of the keys to other
    // nodes, which the guard must report as an error of the cluster.
    let cluster = RedisCluster::start();
    let plain = cluster.nodes[0].guard("plain");
    let causes =
        join_all((0..60_u32).map(async |key| plain.check(&policy, &Key::from(key)).await.err()))
            .await;
    let causes: Vec<_> = causes.into_iter().flatten().map(|it| it.cause()).collect();
    assert!(causes.len() > 10 && causes.iter().all(|it| *it == StoreError::Cluster), "{causes:?}");
}
