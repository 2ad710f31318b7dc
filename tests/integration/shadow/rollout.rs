//! A candidate that is enforced for a part of the keys.

use std::{collections::BTreeSet, fs, time::Duration};

use futures_util::FutureExt;
use proptest::{collection::vec, prelude::*};
use rateguard::{Key, Policy, PolicyError, RateGuard, test_util};

use super::search;
use crate::support::{PATIENCE, folder::Folder, redis_server::RedisServer};

fn rolled_out(percent: u8) -> Policy {
    search().candidate("3/365d").unwrap().rollout(percent).unwrap()
}

/// The keys for which the candidate is enforced.
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
async fn it_is_the_same_on_every_server_and_grows_by_adding_keys() {
    let server = RedisServer::start();
    let secret = "a secret of sixteen bytes";
    let servers = [1, 2].map(|_| {
        let settings = server.settings("rollout").deadline(PATIENCE);
        settings.key_secret(secret).build().unwrap()
    });
    let mut before = BTreeSet::new();
    for percent in [0, 1, 10, 50, 99, 100] {
        let [one, other] = [&servers[0], &servers[1]].map(|guard| enforced(guard, percent));
        let keys = one.await;
        assert_eq!(keys, other.await, "{percent} %");
        assert!(keys.is_superset(&before), "{percent} %");
        // Four standard deviations of 400 keys are 40 at the most.
        assert!(keys.len().abs_diff(usize::from(percent) * 4) <= 50, "{percent} %: {}", keys.len());
        before = keys;
    }
    assert_eq!(before.len(), 400);
}

/// Whoever has had what one side admits gets no more by coming to the other, and back.
async fn moves(guard: &RateGuard) {
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
    let tried = Key::from("tried");
    for _ in 0..3 {
        assert_eq!(check(100, &tried).await, (true, 3));
    }
    // The other side has seen these three, and takes seven more.
    for _ in 0..7 {
        assert_eq!(check(0, &tried).await, (true, 10));
    }
    assert_eq!(check(0, &tried).await, (false, 10));
    assert_eq!(check(100, &tried).await, (false, 3));
}

#[tokio::test]
async fn moving_it_refills_nobody() {
    moves(&RateGuard::in_memory()).await;
    let server = RedisServer::start();
    moves(&server.settings("moves").deadline(PATIENCE).build().unwrap()).await;
}

proptest! {
    /// However it moves, no window has more than the greater of the two limits.
    #[test]
    fn no_window_has_more_however_it_moves(
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
        for (is_tried, millis, asks) in steps {
            now += Duration::from_millis(millis);
            clock.set(now);
            for _ in 0..asks {
                let check = guard.check(&sides[usize::from(is_tried)], &key);
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
async fn a_file_moves_it_and_refills_nobody() {
    let folder = Folder::new();
    let file = |rollout: u8| {
        format!(
            "[policies.search]\nrate = \"10/365d\"\nshadow = \"3/365d; 5/365d\"\nrollout = {rollout}\n"
        )
    };
    let path = folder.file("rateguard.toml", &file(0));
    let guard = RateGuard::builder()
        .policies_file(&path)
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false)
        .build()
        .unwrap();
    let (mut admitted, key) = (0, Key::from("somebody"));
    for percent in [0, 100, 40, 60, 100, 0, 1, 99] {
        fs::write(&path, file(percent)).unwrap();
        guard.reload_policies().unwrap();
        for _ in 0..4 {
            let policy = guard.policy("search").unwrap();
            admitted += u32::from(guard.check(&policy, &key).await.unwrap().is_allowed());
        }
    }
    // What one side has denied, the other may have counted.
    assert!((4..=10).contains(&admitted), "{admitted}");
}

#[test]
fn what_is_no_percentage_of_a_candidate_is_refused() {
    let candidate = || search().candidate("3/365d").unwrap();
    assert_eq!(candidate().rollout(101), Err(PolicyError::Rollout));
    assert_eq!(search().rollout(10), Err(PolicyError::Rollout));
    assert_eq!(search().shadow().rollout(10), Err(PolicyError::Rollout));
    assert_eq!(search().shadow().candidate("3/365d"), Err(PolicyError::Shadow));
    assert!(matches!(search().candidate("3/never"), Err(PolicyError::Quota(_))));
    assert!(candidate().shadow().is_in_shadow());
    let told = PolicyError::Rollout.to_string();
    assert!(told.contains("from 0 to 100"), "{told}");
}
