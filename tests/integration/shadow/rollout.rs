//! Tests the rollout of a candidate (new quotas for a policy), in which the guard enforces the candidate for only a
//! percentage of the keys.

use std::{collections::BTreeSet, fs, time::Duration};

use actix_rateguard::{Key, Policy, RateGuard, error::PolicyError, test_util};
use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};

use super::search;
use crate::support::{TEST_TIMEOUT, folder::Folder, redis_server::RedisServer};

fn rolled_out(percent: u8) -> Policy {
    search().candidate("3/365d").unwrap().rollout(percent).unwrap()
}

/// Returns the keys for which the candidate is enforced at this percentage.
async fn enforced(guard: &RateGuard, percent: u8) -> BTreeSet<u32> {
    let policy = rolled_out(percent);
    let mut keys = BTreeSet::new();
    for key in 0..400 {
        let decision = guard.peek(&policy, &Key::from(key)).await.unwrap();
        assert_eq!(decision.policy(), "search");
        if decision.limit() == 3 {
            keys.insert(key);
        }
    }
    keys
}

#[tokio::test]
async fn rollout_is_equal_on_all_servers_and_grows_monotonically() {
    let server = RedisServer::start();
    let secret = "a secret of sixteen bytes";
    let servers = [1, 2].map(|_| {
        let settings = server.settings("rollout").deadline(TEST_TIMEOUT);
        settings.key_secret(secret).build().unwrap()
    });
    let mut before = BTreeSet::new();
    for percent in [0, 1, 10, 50, 99, 100] {
        let [one, other] = [&servers[0], &servers[1]].map(|guard| enforced(guard, percent));
        let keys = one.await;
        assert_eq!(keys, other.await, "{percent} %");
        assert!(keys.is_superset(&before), "{percent} %");
        // The number of keys is random. For 400 keys, four standard deviations are at most 40 keys, so a margin of 50
        // keys is safe.
        assert!(keys.len().abs_diff(usize::from(percent) * 4) <= 50, "{percent} %: {}", keys.len());
        before = keys;
    }
    assert_eq!(before.len(), 400);
}

/// Tests that a change of the rollout gives a key no additional units if the key has already used up its limit.
async fn test_rollout_changes(guard: &RateGuard) {
    let check = async |percent: u8, key: &Key| {
        let decision = guard.check(&rolled_out(percent), key).await.unwrap();
        (decision.is_allowed(), decision.limit())
    };
    let full = Key::from("full");
    for _ in 0..10 {
        assert_eq!(check(0, &full).await, (true, 10));
    }
    for _ in 0..3 {
        assert_eq!(check(100, &full).await, (false, 3));
        assert_eq!(check(0, &full).await, (false, 10));
    }
    let rolled_out = Key::from("rolled-out");
    for _ in 0..3 {
        assert_eq!(check(100, &rolled_out).await, (true, 3));
    }
    // With 0 %, the guard enforces the quota of the policy and not the candidate. This quota has also counted the three
    // checks above, so it admits seven more checks.
    for _ in 0..7 {
        assert_eq!(check(0, &rolled_out).await, (true, 10));
    }
    assert_eq!(check(0, &rolled_out).await, (false, 10));
    assert_eq!(check(100, &rolled_out).await, (false, 3));
}

#[tokio::test]
async fn rollout_change_preserves_counts() {
    test_rollout_changes(&RateGuard::in_memory()).await;
    let server = RedisServer::start();
    test_rollout_changes(
        &server.settings("rollout-changes").deadline(TEST_TIMEOUT).build().unwrap(),
    )
    .await;
}

proptest! {
    /// Changes the percentage of the rollout at random times. In each window, the guard must not admit more than the
    /// larger of the two limits.
    #[test]
    fn no_window_exceeds_the_larger_limit_during_rollouts(
        steps in vec((prop::bool::ANY, 0..9_000_u64, 1..6_u8), 1..60)
    ) {
        let (guard, clock) = test_util::guard();
        let policy = |percent| {
            let policy = Policy::new("search", "10/minute").unwrap();
            policy.candidate("4/minute").unwrap().rollout(percent).unwrap()
        };
        let sides = [policy(0), policy(100)];
        let (mut now, mut admitted) = (Duration::from_secs(1_800_000_000), Vec::new());
        let key = Key::global();
        for (is_rolled_out, millis, checks) in steps {
            now += Duration::from_millis(millis);
            clock.set(now);
            for _ in 0..checks {
                let check = guard.check(&sides[usize::from(is_rolled_out)], &key);
                if check.now_or_never().unwrap().unwrap().is_allowed() {
                    admitted.push(now);
                }
            }
            let minute = Duration::from_secs(60);
            prop_assert!(admitted.iter().filter(|at| **at + minute > now).count() <= 10);
        }
    }
}

#[tokio::test]
async fn rollout_change_by_file_preserves_counts() {
    let folder = Folder::new();
    let file = |rollout: u8| {
        format!(
            "[policies.search]\nrate = \"10/365d\"\ncandidate = \"3/365d; 5/365d\"\nrollout = {rollout}\n"
        )
    };
    let path = folder.file("rateguard.toml", &file(0));
    let guard = RateGuard::builder()
        .policies_file(&path)
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false)
        .build()
        .unwrap();
    let (mut admitted, key) = (0, Key::from("user"));
    for percent in [0, 100, 40, 60, 100, 0, 1, 99] {
        fs::write(&path, file(percent)).unwrap();
        guard.reload_policies().unwrap();
        for _ in 0..4 {
            let policy = guard.policy("search").unwrap();
            admitted += u32::from(guard.check(&policy, &key).await.unwrap().is_allowed());
        }
    }
    // If the enforced quota denies a check, the quota that is not enforced may still count the check. Therefore fewer
    // than ten checks may be admitted.
    assert!((4..=10).contains(&admitted), "{admitted}");
}

#[test]
fn invalid_rollouts_are_policy_errors() {
    let candidate = || search().candidate("3/365d").unwrap();
    assert_eq!(candidate().rollout(101), Err(PolicyError::Rollout));
    assert_eq!(search().rollout(10), Err(PolicyError::Rollout));
    assert_eq!(search().shadow().rollout(10), Err(PolicyError::Rollout));
    assert_eq!(search().shadow().candidate("3/365d"), Err(PolicyError::Shadow));
    assert!(matches!(search().candidate("3/never"), Err(PolicyError::Quota(_))));
    assert!(candidate().shadow().is_in_shadow());
    let message = PolicyError::Rollout.to_string();
    assert!(message.contains("from 0 to 100"), "{message}");
}
