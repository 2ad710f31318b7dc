//! Tests permits and leases during a failover with Sentinel. The replica has received them before the primary dies, so
//! they count on the new primary.

use actix_rateguard::{Acquisition, Key, Permit, Policy, RateGuard};
use redis::Commands as _;

use crate::support::{
    TEST_TIMEOUT, eventually_async, redis_server::RedisServer, sentinels::Sentinels,
};

fn guard(servers: &Sentinels, prefix: &str) -> RateGuard {
    RateGuard::redis(servers.url()).prefix(prefix).deadline(TEST_TIMEOUT).build().unwrap()
}

/// Kills the primary after the replica has received all its writes.
fn kill_replicated_primary(servers: &mut Sentinels) {
    let wait = redis::cmd("WAIT").arg(1).arg(0).query(&mut servers.primary.client());
    assert_eq!(wait, Ok(1), "the replica has not received the writes");
    servers.primary.kill();
}

/// Returns the earliest end of the leases of all permits on this server.
fn earliest_end(server: &RedisServer, prefix: &str) -> Option<f64> {
    let mut client = server.try_client()?;
    let keys: Vec<String> = client.keys(format!("{prefix}:*{{permits}}")).ok()?;
    let first: Vec<(String, f64)> = client.zrange_withscores(keys.first()?, 0, 0).ok()?;
    Some(first.first()?.1)
}

#[tokio::test]
async fn permits_are_renewed_on_a_promoted_replica_and_deny_others() {
    let mut servers = Sentinels::start();
    let [holder, other] = [(); 2].map(|()| guard(&servers, "promoted"));
    let policy = Policy::new("promoted", "2 concurrent lease 30s").unwrap();
    let acquire = async |guard: &RateGuard| guard.acquire(&policy, &Key::global()).await;
    let mut permits: Vec<Permit> = Vec::new();
    for _ in 0..2 {
        permits.push(acquire(&holder).await.unwrap().into_permit().unwrap());
    }
    kill_replicated_primary(&mut servers);
    let promoted =
        eventually_async("a reply of the new primary", async || acquire(&other).await.ok()).await;
    assert!(matches!(promoted, Acquisition::Denied(_)), "the promoted replica lacks the permits");

    let before = eventually_async("the permits on the new primary", async || {
        earliest_end(&servers.replica, "promoted")
    })
    .await;
    eventually_async("a renewal of both permits", async || {
        earliest_end(&servers.replica, "promoted").filter(|end| *end > before)
    })
    .await;
    // On a machine that was suspended for longer than a lease, the permits would be invalid.
    assert!(permits.iter().all(Permit::is_valid));
    assert!(!acquire(&other).await.unwrap().is_granted());
    for permit in permits {
        permit.release().await;
    }
    assert!(acquire(&other).await.unwrap().is_granted());
}

#[tokio::test]
async fn leased_units_count_on_a_promoted_replica() {
    const LIMIT: u32 = 1_000;
    let mut servers = Sentinels::start();
    let [leasing, other] = [(); 2].map(|()| guard(&servers, "leased-promoted"));
    let policy = Policy::new("leased-promoted", "1000/hour lease 100 for 10s").unwrap();
    let mut admitted = 0;
    let mut admit = async |guard: &RateGuard| {
        let decision = guard.check(&policy, &Key::global()).await.ok()?;
        admitted += u32::from(decision.is_allowed());
        Some(decision)
    };
    eventually_async("a lease", async || admit(&leasing).await.filter(|it| it.is_leased())).await;
    kill_replicated_primary(&mut servers);
    // The units of the open lease still admit requests, and then the new primary decides.
    eventually_async("a reply of the new primary", async || {
        admit(&leasing).await.filter(|it| !it.is_leased())
    })
    .await;
    // Each guard learns the new primary for itself, so this one may learn it later.
    let status = eventually_async("a reply to the other guard", async || {
        other.peek(&policy, &Key::global()).await.ok()
    })
    .await;
    let counted = LIMIT - status.remaining();
    assert!(counted >= admitted, "{admitted} admitted, {counted} counted");
}
