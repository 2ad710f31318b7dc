//! Tests shadow policies. All quotas of such a policy are in shadow mode: they count requests, but deny none.

use std::time::Duration;

use actix_rateguard::{Key, Policy, RateGuard};

use super::{report, search};
use crate::support::{TEST_TIMEOUT, redis_server::RedisServer};

async fn test_denies_nothing(guard: &RateGuard) {
    let (policy, key) = (search().shadow(), Key::from("user"));
    for number in 0..15_u32 {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed());
        assert_eq!(decision.would_deny(), number >= 10);
        assert_eq!(decision.remaining(), 9_u32.saturating_sub(number));
        assert_eq!(decision.retry_after(), None);
    }
    assert_eq!(report(guard, "search", 15).await, [10, 5, 0]);
    assert!(guard.peek(&policy, &key).await.unwrap().would_deny());
    assert!(guard.allows(&policy, &key).await);
    // A shadow policy must not make a check wait.
    let day = Duration::from_secs(86_400);
    assert!(guard.check_or_wait(&policy, &key, day).await.unwrap().is_allowed());
    // The shadow policy has used up the limit, and the enforced policy with the same name uses the same counts.
    assert!(!guard.check(&search(), &key).await.unwrap().is_allowed());
    guard.reset(&policy, &key).await.unwrap();
    assert!(!guard.check(&policy, &key).await.unwrap().would_deny());
}

#[tokio::test]
async fn shadow_policy_counts_and_denies_no_request() {
    test_denies_nothing(&RateGuard::in_memory()).await;
    let server = RedisServer::start();
    test_denies_nothing(&server.settings("whole").deadline(TEST_TIMEOUT).build().unwrap()).await;
}

#[tokio::test]
async fn shadow_policy_is_checked_separately_from_enforced_policies() {
    let guard = RateGuard::in_memory();
    let (shadow, key) = (search().shadow(), Key::from("user"));
    let enforced = Policy::new("enforced", "2/365d").unwrap();
    for number in 0..12_u32 {
        let request = guard.request(&shadow, &key).and(&enforced, &key);
        let decision = request.check().await.unwrap();
        // Only the enforced policy decides on the request. The shadow policy must still count it.
        assert_eq!(decision.is_allowed(), number < 2);
        assert!(!decision.would_deny());
        assert!(decision.statuses().iter().all(|it| it.policy() == "enforced"));
    }
    assert_eq!(report(&guard, "search", 12).await, [10, 2, 0]);
}

#[tokio::test]
async fn shadow_policy_bans_no_key() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("login", "1/365d").unwrap().ban("2/365d for 1h").unwrap();
    let key = Key::from("user");
    for _ in 0..9 {
        let decision = guard.check(&policy.clone().shadow(), &key).await.unwrap();
        assert!(decision.is_allowed() && decision.banned_for().is_none());
    }
    // Only denials by an enforced policy are offences. Therefore the denials in shadow mode did not start a ban.
    assert_eq!(guard.check(&policy, &key).await.unwrap().banned_for(), None);
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
    // A shadow policy must not apply a ban.
    assert!(guard.check(&policy.shadow(), &key).await.unwrap().is_allowed());
}

/// A denial by a candidate is an offence only if the candidate is enforced for the key.
#[tokio::test]
async fn candidate_bans_keys_only_where_enforced() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("login", "50/365d").unwrap().ban("2/365d for 1h").unwrap();
    let policy = policy.candidate("1/365d").unwrap();
    let key = Key::from("user");
    for _ in 0..20 {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed() && decision.banned_for().is_none());
    }
    let policy = policy.rollout(100).unwrap();
    assert_eq!(guard.check(&policy, &key).await.unwrap().banned_for(), None);
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
}
