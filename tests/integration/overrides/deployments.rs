//! Tests overrides on a pool, on Upstash, on a cluster, and across a failover to a replica.

use actix_rateguard::{Key, RateGuard};

use super::{HOUR, check, policy};
use crate::support::{
    TEST_TIMEOUT, eventually, redis_cluster::RedisCluster, redis_server::RedisServer,
    rest_server::RestServer, sentinels::Sentinels,
};

/// Waits until the guard has this number of overrides.
fn wait_for_overrides(guard: &RateGuard, number: usize) {
    eventually("the guard has read the overrides", || {
        (guard.overrides().len() == number).then_some(())
    });
}

/// One guard sets an override, the other one applies it and removes it.
async fn guards_share_overrides(guards: &[RateGuard; 2]) {
    let (policy, key) = (policy(), Key::from("ann"));
    let [one, other] = guards;
    for remaining in [2, 1, 0] {
        assert_eq!(check(one, &policy, &key).await, (true, remaining));
    }
    one.set_described_override(&policy, &key, "9/hour", HOUR, "sale").await.unwrap();
    assert_eq!(check(one, &policy, &key).await, (true, 5));
    wait_for_overrides(other, 1);
    assert_eq!(check(other, &policy, &key).await, (true, 4));
    let listed = &other.overrides()[0];
    assert_eq!((&*listed.policy, listed.description.as_deref()), ("api", Some("sale")));
    assert!(listed.ends_after <= HOUR, "{listed:?}");

    // Both guards change the list at the same time.
    let (bob, eve) = (Key::from("bob"), Key::from("eve"));
    let changes = futures_util::join!(
        one.set_override(&policy, &bob, "9/hour", HOUR),
        other.set_override(&policy, &eve, "9/hour", HOUR)
    );
    assert_eq!(changes, (Ok(()), Ok(())));
    guards.iter().for_each(|guard| wait_for_overrides(guard, 3));

    assert_eq!(other.remove_override(&policy, &key).await, Ok(true));
    assert_eq!(check(other, &policy, &key).await, (false, 0));
    wait_for_overrides(one, 2);
    assert_eq!(check(one, &policy, &key).await, (false, 0));
}

#[tokio::test]
async fn guards_of_a_server_share_overrides() {
    let redis = RedisServer::start();
    let settings = || redis.settings("overrides").deadline(TEST_TIMEOUT).overrides(true);
    guards_share_overrides(&[(); 2].map(|()| settings().build().unwrap())).await;
}

#[tokio::test]
async fn guards_with_a_secret_share_overrides() {
    let redis = RedisServer::start();
    let settings = || redis.settings("overrides").deadline(TEST_TIMEOUT).overrides(true);
    let secret = "a secret of the application servers";
    guards_share_overrides(&[(); 2].map(|()| settings().key_secret(secret).build().unwrap())).await;
}

#[tokio::test]
async fn guards_of_a_pool_share_overrides() {
    let redis = RedisServer::start();
    let config = deadpool_redis::Config::from_url(redis.url());
    let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1)).unwrap();
    let guards = [(); 2].map(|()| {
        let settings = RateGuard::redis_pool(pool.clone()).prefix("overrides");
        settings.deadline(TEST_TIMEOUT).overrides(true).build().unwrap()
    });
    guards_share_overrides(&guards).await;
}

#[tokio::test]
async fn guards_on_upstash_share_overrides() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let settings = || rest.settings("overrides").deadline(TEST_TIMEOUT).overrides(true);
    guards_share_overrides(&[(); 2].map(|()| settings().build().unwrap())).await;
}

#[tokio::test]
async fn guards_of_a_cluster_share_overrides() {
    let cluster = RedisCluster::start();
    let guards = [(); 2].map(|()| {
        let settings = RateGuard::redis(cluster.url()).prefix("overrides");
        settings.deadline(TEST_TIMEOUT).overrides(true).build().unwrap()
    });
    guards_share_overrides(&guards).await;
}

#[tokio::test]
async fn promoted_replica_has_the_overrides() {
    let mut servers = Sentinels::start();
    let url = servers.url();
    let start = || {
        let settings = RateGuard::redis(&*url).prefix("overrides");
        settings.deadline(TEST_TIMEOUT).overrides(true).build().unwrap()
    };
    let (guard, policy, key) = (start(), policy(), Key::from("ann"));
    guard.set_override(&policy, &key, "9/hour", HOUR).await.unwrap();
    let wait = redis::cmd("WAIT").arg(1).arg(0).query(&mut servers.primary.client());
    assert_eq!(wait, Ok(1), "the replica has not received the overrides");
    servers.primary.kill();
    // A process that starts after the failover reads the list of the new primary.
    let new = start();
    eventually("the new process has read the overrides of the new primary", || {
        (new.overrides().len() == 1).then_some(())
    });
    assert_eq!(guard.overrides().len(), 1);
    eventually("the first process uses the new primary", || guard.health().is_good().then_some(()));
    assert!(guard.remove_override(&policy, &key).await.unwrap());
    wait_for_overrides(&new, 0);
}
