//! Tests leases of token buckets of one guard on Redis.

use std::time::Duration;

use actix_rateguard::Key;

use super::guard::{
    FIRST_LEASE, admitted_by_three_guards, assert_few_calls, check, check_until_leased, policy,
    remaining, until_remaining,
};
use crate::support::redis_server::RedisServer;

/// A bucket that regains no token during a test, with a lease that does not end during a test.
const LONG: &str = "100/day token_bucket burst 100000 lease 50 for 10s";
const SHORT: &str = "100/day token_bucket burst 100000 lease 50 for 500ms";

#[tokio::test]
async fn busy_token_bucket_needs_few_calls_and_counts_each_request() {
    assert_few_calls(&policy(LONG), 2_000).await;
}

#[tokio::test]
async fn burst_is_admitted_exactly_by_several_guards() {
    let policy = policy("1/day token_bucket burst 500 lease 50 for 500ms");
    let admitted = admitted_by_three_guards(&policy).await;
    // Each guard returns its unused tokens before the leases end, and the others then take them. A return that comes
    // too late loses its tokens.
    assert!((400..=500).contains(&admitted), "{admitted}");
}

#[tokio::test]
async fn unused_tokens_come_back_before_the_lease_ends() {
    let server = RedisServer::start();
    let guard = server.guard("idle");
    let policy = policy("100/day token_bucket burst 100000 lease 50 for 6s");
    let checks = check_until_leased(&guard, &policy).await;
    assert!(remaining(&guard, &policy).await <= 100_000 - FIRST_LEASE);
    until_remaining(&guard, &policy, 100_000 - checks).await;
}

#[tokio::test]
async fn closed_guard_returns_its_tokens() {
    let server = RedisServer::start();
    let guard = server.guard("closed");
    let policy = policy(LONG);
    let checks = check_until_leased(&guard, &policy).await;
    guard.close().await;
    assert_eq!(remaining(&server.guard("closed"), &policy).await, 100_000 - checks);
}

#[tokio::test]
async fn tokens_of_a_lost_guard_count_as_used() {
    let server = RedisServer::start();
    let guard = server.guard("lost");
    let policy = policy(SHORT);
    let checks = check_until_leased(&guard, &policy).await;
    drop(guard);
    let other = server.guard("lost");
    for _ in 0..2 {
        // One of the checks used a token of the lease.
        assert_eq!(remaining(&other, &policy).await, 100_000 - (checks - 1) - FIRST_LEASE);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
}

#[tokio::test]
async fn reset_returns_the_tokens_of_its_own_process_only() {
    let server = RedisServer::start();
    let [guard, other] = ["reset"; 2].map(|prefix| server.guard(prefix));
    let policy = policy(LONG);
    check_until_leased(&guard, &policy).await;
    other.reset(&policy, &Key::global()).await.unwrap();
    // The first process may still use the tokens of its lease.
    assert!(remaining(&other, &policy).await <= 100_000 - FIRST_LEASE);
    assert!(check(&guard, &policy).await.is_leased());
    guard.reset(&policy, &Key::global()).await.unwrap();
    assert_eq!(remaining(&guard, &policy).await, 100_000);
    assert!(!check(&guard, &policy).await.is_leased());
}

#[tokio::test]
async fn leased_decision_reports_bounds() {
    let server = RedisServer::start();
    let guard = server.guard("numbers");
    // A token comes back in 100 ms.
    let policy = policy("10/second token_bucket burst 1000 lease 50 for 250ms");
    let leased = loop {
        let decision = check(&guard, &policy).await;
        if decision.is_leased() {
            break decision;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let unused = leased.remaining();
    assert!((1..50).contains(&unused), "{unused}");
    // Until the lease ends in Redis, and until the bucket has regained these tokens and one more.
    let refill = Duration::from_millis(100) * (unused + 1);
    let status = &leased.statuses()[0];
    assert!(status.reset_after() >= refill, "{:?}", status.reset_after());
    assert!(status.reset_after() <= refill + crate::support::TEST_TIMEOUT);
    assert_eq!(status.retry_after(), Some(Duration::ZERO));
}

#[tokio::test]
async fn changed_quota_does_not_use_the_old_lease() {
    let server = RedisServer::start();
    let guard = server.guard("changed");
    let checks = check_until_leased(&guard, &policy(LONG)).await;
    let new = policy("100/day token_bucket burst 1000 lease 20 for 10s");
    let decision = check(&guard, &new).await;
    assert!(decision.is_allowed() && !decision.is_leased());
    // The unused tokens of the old lease come back at once.
    until_remaining(&guard, &new, 1_000 - checks - 1).await;
}

#[tokio::test]
async fn removed_lease_keeps_the_tokens_of_other_processes() {
    let server = RedisServer::start();
    let [guard, other] = ["removed"; 2].map(|prefix| server.guard(prefix));
    let leased = policy("100/day token_bucket burst 1000 lease 50 for 10s");
    let checks = check_until_leased(&guard, &leased).await;
    for quotas in ["100/day token_bucket burst 1000", "1000/day fixed_window", "1000/day"] {
        // While the lease is open, the other process decides with the token bucket.
        let before = remaining(&guard, &leased).await;
        let decision = check(&other, &policy(quotas)).await;
        assert!(decision.is_allowed() && !decision.is_leased(), "{quotas}");
        assert_eq!(decision.remaining(), before - 1, "{quotas}");
    }
    assert!(check(&guard, &leased).await.is_leased());
    guard.close().await;
    // The process returned its unused tokens. Two of the others were used.
    assert_eq!(remaining(&other, &leased).await, 1_000 - checks - 1 - 3);
}
