//! Policies that are in shadow as a whole.

use std::time::Duration;

use rateguard::{Key, Policy, RateGuard};

use super::{report, search};
use crate::support::{PATIENCE, redis_server::RedisServer};

async fn refuses_nobody(guard: &RateGuard) {
    let (policy, key) = (search().shadow(), Key::from("somebody"));
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
    // There is nothing to wait for.
    let day = Duration::from_secs(86_400);
    assert!(guard.check_or_wait(&policy, &key, day).await.unwrap().is_allowed());
    // What it has counted counts on when it is enforced.
    assert!(!guard.check(&search(), &key).await.unwrap().is_allowed());
    guard.reset(&policy, &key).await.unwrap();
    assert!(!guard.check(&policy, &key).await.unwrap().would_deny());
}

#[tokio::test]
async fn a_policy_in_shadow_decides_and_counts_and_refuses_nobody() {
    refuses_nobody(&RateGuard::in_memory()).await;
    let server = RedisServer::start();
    refuses_nobody(&server.settings("whole").deadline(PATIENCE).build().unwrap()).await;
}

#[tokio::test]
async fn beside_others_it_is_asked_by_itself() {
    let guard = RateGuard::in_memory();
    let (shadow, key) = (search().shadow(), Key::from("somebody"));
    let enforced = Policy::new("enforced", "2/365d").unwrap();
    for number in 0..12_u32 {
        let request = guard.request(&shadow, &key).and(&enforced, &key);
        let decision = request.check().await.unwrap();
        // Whatever the others say, it sees the request, and the decision is theirs.
        assert_eq!(decision.is_allowed(), number < 2);
        assert!(!decision.would_deny());
        assert!(decision.standings().iter().all(|it| it.policy() == "enforced"));
    }
    assert_eq!(report(&guard, "search", 12).await, [10, 2, 0]);
}

#[tokio::test]
async fn it_bans_nobody() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("login", "1/365d").unwrap().ban("2/365d for 1h").unwrap();
    let key = Key::from("somebody");
    for _ in 0..9 {
        let decision = guard.check(&policy.clone().shadow(), &key).await.unwrap();
        assert!(decision.is_allowed() && decision.banned_for().is_none());
    }
    // The first denial that is one is the first offence.
    assert_eq!(guard.check(&policy, &key).await.unwrap().banned_for(), None);
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
    // Nor does it heed a ban.
    assert!(guard.check(&policy.shadow(), &key).await.unwrap().is_allowed());
}

/// What a candidate would deny is no offence; what it denies where it is enforced is one.
#[tokio::test]
async fn a_candidate_bans_nobody_but_where_it_is_enforced() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("login", "50/365d").unwrap().ban("2/365d for 1h").unwrap();
    let policy = policy.candidate("1/365d").unwrap();
    let key = Key::from("somebody");
    for _ in 0..20 {
        let decision = guard.check(&policy, &key).await.unwrap();
        assert!(decision.is_allowed() && decision.banned_for().is_none());
    }
    let policy = policy.rollout(100).unwrap();
    assert_eq!(guard.check(&policy, &key).await.unwrap().banned_for(), None);
    assert!(guard.check(&policy, &key).await.unwrap().banned_for().is_some());
}
