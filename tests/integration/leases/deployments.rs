//! Tests leases and permits on a cluster, on Upstash, and across a failover to a replica.

use std::time::Duration;

use actix_rateguard::{Key, Permit, Policy, RateGuard};

use crate::support::{
    TEST_TIMEOUT, eventually, eventually_async, redis_cluster::RedisCluster,
    redis_server::RedisServer, rest_server::RestServer, sentinels::Sentinels,
};

const LIMIT: u32 = 200;

/// A lease that does not end during a test.
fn leased() -> Policy {
    Policy::new("leased", format!("{LIMIT}/10m lease 20 for 10s")).unwrap()
}

fn concurrent() -> Policy {
    Policy::new("concurrent", "3 concurrent lease 1m").unwrap()
}

async fn acquire(guard: &RateGuard, key: &Key) -> Option<Permit> {
    guard.acquire(&concurrent(), key).await.unwrap().into_permit()
}

/// Checks the key until it is denied. Returns the number of admissions, and how many of them used a lease.
async fn use_all(guard: &RateGuard, policy: &Policy, key: &Key) -> (u32, u32) {
    let (mut admitted, mut leased) = (0, 0);
    loop {
        let decision = guard.check(policy, key).await.unwrap();
        if !decision.is_allowed() {
            return (admitted, leased);
        }
        admitted += 1;
        leased += u32::from(decision.is_leased());
        // Without a pause, one loop uses the units one by one before the first lease arrives.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Two guards use all units of some keys, and each closed guard returns its unused units.
async fn guards_admit_exactly_the_limit(guards: [RateGuard; 2]) {
    let policy = leased();
    for number in 0..4_u32 {
        let key = Key::from(number);
        let (first, leased) = use_all(&guards[0], &policy, &key).await;
        assert!(leased > 0, "no lease in {first} admissions of key {number}");
        assert_eq!(first, LIMIT);
        assert_eq!(use_all(&guards[1], &policy, &key).await.0, 0);
    }
    // Both guards have leases of this key.
    let key = Key::global();
    let mut admitted = 0;
    for _ in 0..LIMIT / 4 {
        for guard in &guards {
            admitted += u32::from(guard.check(&policy, &key).await.unwrap().is_allowed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let [first, second] = guards;
    first.close().await;
    admitted += use_all(&second, &policy, &key).await.0;
    assert_eq!(admitted, LIMIT);
}

/// Two guards share the permits of some keys.
async fn guards_share_permits(guards: &[RateGuard; 2]) {
    for number in 0..4_u32 {
        let key = Key::from(number);
        let first = acquire(&guards[0], &key).await.unwrap();
        let others = [acquire(&guards[1], &key).await, acquire(&guards[1], &key).await];
        assert!(others.iter().all(Option::is_some));
        assert!(acquire(&guards[0], &key).await.is_none());
        first.release().await;
        assert!(acquire(&guards[1], &key).await.is_some());
    }
}

#[tokio::test]
async fn guards_of_a_cluster_share_leased_limits_and_permits() {
    let cluster = RedisCluster::start();
    let guards = [(); 2].map(|()| {
        RateGuard::redis(cluster.url()).prefix("leases").deadline(TEST_TIMEOUT).build().unwrap()
    });
    guards_share_permits(&guards).await;
    guards_admit_exactly_the_limit(guards).await;
}

#[tokio::test]
async fn guards_on_upstash_share_leased_limits_and_permits() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guards = [rest.guard("leases"), rest.guard("leases")];
    guards_share_permits(&guards).await;
    guards_admit_exactly_the_limit(guards).await;
}

#[tokio::test]
async fn promoted_replica_has_the_leases_and_the_permits() {
    let mut servers = Sentinels::start();
    let start =
        || RateGuard::redis(servers.url()).prefix("moved").deadline(TEST_TIMEOUT).build().unwrap();
    let (holder, other) = (start(), start());
    let (policy, key) = (leased(), Key::global());
    let mut permits = vec![acquire(&holder, &key).await.unwrap()];
    permits.extend([acquire(&holder, &key).await.unwrap(), acquire(&holder, &key).await.unwrap()]);
    let mut admitted = 0;
    loop {
        let decision = holder.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed(), "no lease in {admitted} admissions");
        admitted += 1;
        if decision.is_leased() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let wait = redis::cmd("WAIT").arg(1).arg(0).query(&mut servers.primary.client());
    assert_eq!(wait, Ok(1), "the replica has not received the leases");

    servers.primary.kill();
    eventually("the replica is promoted", || {
        let role: Vec<redis::Value> =
            redis::cmd("ROLE").query(&mut servers.replica.client()).ok()?;
        let name: String = redis::from_redis_value_ref(&role[0]).unwrap();
        (name == "master").then_some(())
    });
    for guard in [&holder, &other] {
        eventually_async("a reply of the new primary", async || {
            guard.request(&policy, &key).peek().await.ok()
        })
        .await;
    }

    assert!(permits.iter().all(Permit::is_valid));
    assert!(acquire(&other, &key).await.is_none());
    permits.remove(0).release().await;
    assert!(acquire(&other, &key).await.is_some());

    // The units of the lease count on the new primary, and the closed guard returns the unused units to it.
    for _ in 0..5 {
        admitted += u32::from(holder.check(&policy, &key).await.unwrap().is_allowed());
    }
    holder.close().await;
    admitted += use_all(&other, &policy, &key).await.0;
    // If the failover takes longer than the lease, the return of the lease is lost, and its units stay counted.
    assert!((LIMIT - 40..=LIMIT).contains(&admitted), "{admitted}");
}
