//! A cluster that is well: keys are spread, all operations work, and the contract of stores is kept.

use futures_util::future::join_all;
use rateguard::{
    Algorithm, Key, Policy, RateGuard, StoreError,
    test_util::{Time, conformance},
};
use redis::Commands;

use super::{guard, placed, slot};
use crate::{
    deployments::{COMMANDS, use_everything},
    support::{
        PATIENCE,
        redis_cluster::RedisCluster,
        redis_server::{RedisServer, free_port, url},
    },
};

#[tokio::test]
async fn keys_are_spread_over_the_masters_and_each_is_one_limit() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "spread");
    let places = placed(&cluster, &guard, "spread", 300).await;
    for master in 0..3 {
        let here = places.iter().filter(|place| **place == master).count();
        assert!(here > 50, "{here} of 300 on master {master}");
    }

    // Several quotas of one key are one step.
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
async fn the_store_on_a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start();
    let all = [
        Algorithm::SlidingWindow,
        Algorithm::SlidingWindowCounter,
        Algorithm::FixedWindow,
        Algorithm::TokenBucket,
    ];
    conformance(guard(&cluster, "conformance").store(), Time::Real, &all).await;
}

#[tokio::test]
async fn several_keys_are_asked_one_after_the_other() {
    let cluster = RedisCluster::start();
    let guard = guard(&cluster, "apart");
    let user = Policy::new("user", "10/hour").unwrap();
    let tenant = Policy::new("tenant", "4/hour").unwrap();
    // So many users that some are on another master than their tenant.
    for number in 0..12_u32 {
        let (ann, acme) = (Key::from(("user", number)), Key::from(("tenant", number)));
        for check in 0..6 {
            let decision = guard.request(&user, &ann).and(&tenant, &acme).check().await.unwrap();
            assert_eq!(decision.is_allowed(), check < 4);
        }
        // What a denial had taken of the user it gave back.
        assert_eq!(guard.peek(&user, &ann).await.unwrap().remaining(), 6);
    }
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_everything() {
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
    let guard = RateGuard::redis(url).prefix("app").deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn some_of_the_nodes_in_the_url_may_be_away() {
    let cluster = RedisCluster::start();
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        free_port(),
        // A replica knows the others, too.
        cluster.nodes[4].port()
    );
    let guard = RateGuard::redis(url).prefix("some").deadline(PATIENCE).build().unwrap();
    assert!(placed(&cluster, &guard, "some", 60).await.contains(&2));
}

#[tokio::test]
async fn what_is_no_cluster_is_found_out() {
    let plain = RedisServer::start();
    let policy = Policy::new("p", "5/hour").unwrap();
    for (port, expected) in
        [(plain.port(), StoreError::NotReady), (free_port(), StoreError::Unreachable)]
    {
        let url = url(port).replace("redis://", "redis+cluster://");
        let guard = RateGuard::redis(url).deadline(PATIENCE).build().unwrap();
        let unavailable = guard.check(&policy, &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), expected);
        assert_eq!(guard.health().cause(), Some(expected));
    }
    // And the other way round.
    let cluster = RedisCluster::start();
    let plain = cluster.nodes[0].guard("plain");
    let causes =
        join_all((0..60_u32).map(async |key| plain.check(&policy, &Key::from(key)).await.err()))
            .await;
    let causes: Vec<_> = causes.into_iter().flatten().map(|it| it.cause()).collect();
    assert!(causes.len() > 10 && causes.iter().all(|it| *it == StoreError::Cluster), "{causes:?}");
}
