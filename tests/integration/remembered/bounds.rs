//! How much is remembered at the most.

use std::time::Duration;

use rateguard::{Key, Policy, RateGuard};

use super::{Elsewhere, denied, exhausted};

const FITS: u64 = 57_344;
/// Enough to fill each part of what there is.
const USERS: u32 = 70_000;

/// Denied for ever, as it costs too much.
async fn costly(guard: &RateGuard, user: u32, cost: u32) {
    let policy = Policy::new("p", "1/hour").unwrap();
    let decision = guard.request(&policy, &Key::from(user)).cost(cost).check().await.unwrap();
    assert!(decision.is_too_costly());
}

#[tokio::test]
async fn who_finds_no_room_is_asked_for_each_time() {
    let store = Elsewhere::new();
    let guard = store.guard();
    for asked in [u64::from(USERS), u64::from(USERS) - FITS] {
        for user in 0..USERS {
            costly(&guard, user, 2).await;
        }
        assert_eq!(store.asked(), asked);
    }
    // Who is forgotten makes room.
    let policy = Policy::new("p", "1/hour").unwrap();
    for user in 0..USERS {
        guard.reset(&policy, &Key::from(user)).await.unwrap();
    }
    let key = exhausted(&guard, &policy).await;
    store.asked();
    denied(&guard, &policy, &key).await;
    assert_eq!(store.asked(), 0);
}

#[tokio::test]
async fn what_holds_no_more_makes_room() {
    let store = Elsewhere::new();
    let guard = store.remembering(Duration::from_millis(500));
    for user in 0..USERS {
        costly(&guard, user, 2).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut remembered = 0;
    for user in USERS..USERS + 100 {
        costly(&guard, user, 2).await;
        store.asked();
        costly(&guard, user, 2).await;
        remembered += u32::from(store.asked() == 0);
    }
    assert!(remembered > 0);
}

#[tokio::test]
async fn of_one_key_the_last_few_costs_are_remembered() {
    let store = Elsewhere::new();
    let guard = store.guard();
    for cost in 2..1_000 {
        costly(&guard, 1, cost).await;
    }
    store.asked();
    for cost in 996..1_000 {
        costly(&guard, 1, cost).await;
    }
    assert_eq!(store.asked(), 0);
    costly(&guard, 1, 2).await;
    assert_eq!(store.asked(), 1);
}
