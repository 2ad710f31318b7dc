//! Tests the leases of permits on Redis: renewal, expiry, and the metrics of both.

use std::time::Duration;

use actix_rateguard::{Key, Permit, Policy, RateGuard};

use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_server::{RedisServer, script_calls},
};

fn policy(quotas: &str) -> Policy {
    Policy::new("exports", quotas.to_owned()).unwrap()
}

async fn acquire(guard: &RateGuard, policy: &Policy) -> Option<Permit> {
    guard.acquire(policy, &Key::global()).await.unwrap().into_permit()
}

#[tokio::test]
async fn permit_outlives_several_leases() {
    let server = RedisServer::start();
    let guard = server.guard("long");
    let policy = policy("1 concurrent lease 1s");
    let permit = acquire(&guard, &policy).await.unwrap();
    for _ in 0..35 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(acquire(&guard, &policy).await.is_none());
    }
    assert!(permit.is_valid());
    permit.release().await;
    assert!(acquire(&guard, &policy).await.is_some());
}

#[tokio::test]
async fn permit_of_a_blocked_worker_is_renewed() {
    let server = RedisServer::start();
    let guard = server.guard("blocked");
    let policy = policy("1 concurrent lease 1s");
    let permit = acquire(&guard, &policy).await.unwrap();
    // This blocks the only thread of the runtime.
    std::thread::sleep(Duration::from_secs(3));
    assert!(permit.is_valid());
    assert!(acquire(&guard, &policy).await.is_none());
}

#[tokio::test]
async fn many_permits_are_renewed_in_few_calls() {
    let server = RedisServer::start();
    let guard = server.guard("many");
    let policy = policy("1000 concurrent lease 3s");
    let mut permits = Vec::new();
    for key in 0..200_u32 {
        let acquired = guard.acquire(&policy, &Key::from(key % 10)).await.unwrap();
        permits.push(acquired.into_permit().unwrap());
    }
    let before = script_calls(&server);
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    let during = script_calls(&server) - before;
    assert!(permits.iter().all(Permit::is_valid));
    // Three passes with 200 renewals each, in batches of up to 32. The permits were not taken at the same moment, so a
    // pass may be divided.
    assert!((3..=120).contains(&during), "{during}");
}

#[tokio::test]
async fn permit_expires_while_redis_does_not_answer_and_is_not_revived() {
    let server = RedisServer::start();
    let guard = server.settings("frozen").deadline(Duration::from_millis(200)).build().unwrap();
    let policy = policy("1 concurrent lease 1s");
    let permit = loop {
        match guard.acquire(&policy, &Key::global()).await {
            Ok(acquired) => break acquired.into_permit().unwrap(),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    server.freeze();
    eventually("the permit expires", || (!permit.is_valid()).then_some(()));
    server.thaw();
    let start = std::time::Instant::now();
    let other = loop {
        if let Ok(acquired) = guard.acquire(&policy, &Key::global()).await
            && let Some(other) = acquired.into_permit()
        {
            break other;
        }
        assert!(start.elapsed() < TEST_TIMEOUT);
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(!permit.is_valid() && other.is_valid());
    // The release of the expired permit does not release the permit of the other request.
    permit.release().await;
    assert!(other.is_valid());
    let fresh = server.guard("frozen");
    assert!(acquire(&fresh, &policy).await.is_none());
}

#[tokio::test]
async fn permit_that_redis_has_lost_becomes_invalid() {
    let server = RedisServer::start();
    let guard = server.guard("lost");
    let policy = policy("1 concurrent lease 2s");
    let permit = acquire(&guard, &policy).await.unwrap();
    guard.reset(&policy, &Key::global()).await.unwrap();
    let start = std::time::Instant::now();
    eventually("the renewal finds no permit", || (!permit.is_valid()).then_some(()));
    // The renewal is due after a third of the lease, so the holder knows it before the lease ends.
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn renewal_of_a_closed_runtime_continues() {
    let server = RedisServer::start();
    let guard = server.guard("runtime");
    let policy = policy("1 concurrent lease 1s");
    let (held, taken) = (guard.clone(), policy.clone());
    let permit = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(acquire(&held, &taken)).unwrap()
    });
    let permit = permit.join().unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(permit.is_valid());
    assert!(acquire(&guard, &policy).await.is_none());
}
