//! Tests the capacity of the denial cache.

use std::time::Duration;

use actix_rateguard::{Key, Policy, RateGuard};

use super::{RemoteStore, denied, exhausted};

const CAPACITY: u64 = 57_344;
/// A number of users that is large enough to fill every shard (an independent part) of the denial cache.
const USERS: u32 = 70_000;

/// Sends a check whose cost is higher than the limit. The denial of such a check never expires in the cache.
async fn check_too_costly(guard: &RateGuard, user: u32, cost: u32) {
    let policy = Policy::new("p", "1/hour").unwrap();
    let decision = guard.request(&policy, &Key::from(user)).cost(cost).check().await.unwrap();
    assert!(decision.is_too_costly());
}

#[tokio::test]
async fn denials_beyond_the_cache_capacity_reach_the_store() {
    let store = RemoteStore::new();
    let guard = store.guard();
    for calls in [u64::from(USERS), u64::from(USERS) - CAPACITY] {
        for user in 0..USERS {
            check_too_costly(&guard, user, 2).await;
        }
        assert_eq!(store.take_calls(), calls);
    }
    // A reset removes the cached denial of its key, so the cache has room for another denial.
    let policy = Policy::new("p", "1/hour").unwrap();
    for user in 0..USERS {
        guard.reset(&policy, &Key::from(user)).await.unwrap();
    }
    let key = exhausted(&guard, &policy).await;
    store.take_calls();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.take_calls(), 0);
}

#[tokio::test]
async fn expired_denials_make_room() {
    let store = RemoteStore::new();
    let guard = store.guard_with_ttl(Duration::from_millis(500));
    for user in 0..USERS {
        check_too_costly(&guard, user, 2).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut cached = 0;
    for user in USERS..USERS + 100 {
        check_too_costly(&guard, user, 2).await;
        store.take_calls();
        check_too_costly(&guard, user, 2).await;
        cached += u32::from(store.take_calls() == 0);
    }
    assert!(cached > 0);
}

#[tokio::test]
async fn cache_holds_the_last_few_costs_of_one_key() {
    let store = RemoteStore::new();
    let guard = store.guard();
    for cost in 2..1_000 {
        check_too_costly(&guard, 1, cost).await;
    }
    store.take_calls();
    for cost in 996..1_000 {
        check_too_costly(&guard, 1, cost).await;
    }
    assert_eq!(store.take_calls(), 0);
    check_too_costly(&guard, 1, 2).await;
    assert_eq!(store.take_calls(), 1);
}
