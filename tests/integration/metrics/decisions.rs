//! Tests the metrics of decisions with the memory store. The decisions are counted by policy, quota, outcome and
//! mode.

use std::time::Duration;

use actix_rateguard::{Key, MemoryStore, Policy, RateGuard, test_util};

use super::{Recorder, expected};

fn policy(name: &'static str, quotas: &str) -> Policy {
    Policy::new(name, quotas).unwrap()
}

#[test]
fn allowed_and_denied_checks_are_counted_per_policy() {
    Recorder::record(async |recorder| {
        let guard = RateGuard::in_memory();
        for (policy, checks) in [(policy("a", "2/hour"), 5), (policy("b", "9/minute"), 4)] {
            for _ in 0..checks {
                guard.check(&policy, &Key::from("ann")).await.unwrap();
            }
        }
        let counted = expected([
            ("a|2/hour|allowed|store", 2),
            ("a|2/hour|denied|store", 3),
            ("b|9/minute|allowed|store", 4),
        ]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn denial_is_counted_under_the_denying_quota() {
    for quotas in ["9/hour; 2/day", "2/day; 9/hour"] {
        Recorder::record(async |recorder| {
            let (guard, policy) = (RateGuard::in_memory(), policy("both", quotas));
            for _ in 0..5 {
                guard.check(&policy, &Key::from("ann")).await.unwrap();
            }
            let counted =
                expected([("both|2/day|allowed|store", 2), ("both|2/day|denied|store", 3)]);
            assert_eq!(recorder.decisions(), counted);
        });
    }
    // The first quota is too small for a cost of 10, and the second quota is large enough.
    Recorder::record(async |recorder| {
        let (guard, policy) = (RateGuard::in_memory(), policy("both", "9/hour; 20/day"));
        for cost in [1, 10] {
            guard.request(&policy, &Key::from("ann")).cost(cost).check().await.unwrap();
        }
        let counted = expected([("both|9/hour|allowed|store", 1), ("both|9/hour|denied|store", 1)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn denial_is_counted_under_the_denying_policy() {
    Recorder::record(async |recorder| {
        let guard = RateGuard::in_memory();
        let (user, tenant) = (policy("user", "9/hour"), policy("tenant", "2/day"));
        for _ in 0..3 {
            let both = guard.request(&user, &Key::from("ann")).and(&tenant, &Key::from("acme"));
            both.check().await.unwrap();
        }
        let counted =
            expected([("tenant|2/day|allowed|store", 2), ("tenant|2/day|denied|store", 1)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn only_deciding_operations_are_counted_once() {
    Recorder::record(async |recorder| {
        let (guard, policy, key) =
            (RateGuard::in_memory(), policy("operations", "9/hour"), Key::from("ann"));
        let one = expected([("operations|9/hour|allowed|store", 1)]);
        let is_counted = |count| {
            let counted = recorder.decisions();
            assert_eq!(counted.len(), one.len());
            assert_eq!(counted.values().sum::<u64>(), count, "{counted:?}");
        };
        let request = || guard.request(&policy, &key);

        guard.check(&policy, &key).await.unwrap();
        assert_eq!(recorder.decisions(), one);
        request().check().await.unwrap();
        is_counted(2);
        assert!(guard.allows(&policy, &key).await);
        is_counted(3);
        let reservation = request().reserve().await.unwrap();
        is_counted(4);
        guard.check_or_wait(&policy, &key, Duration::ZERO).await.unwrap();
        is_counted(5);

        guard.peek(&policy, &key).await.unwrap();
        reservation.settle(2).await.unwrap();
        request().debit().await.unwrap();
        guard.reset(&policy, &key).await.unwrap();
        is_counted(5);
    });
}

#[test]
fn bans_are_counted_separately_from_denials() {
    Recorder::record(async |recorder| {
        let guard = RateGuard::in_memory();
        let policy = policy("login", "1/hour").ban("3/hour for 1h").unwrap();
        // The first check is allowed. The next three denials are offences, and the last of them begins the ban. The
        // last two checks are denied by the ban.
        for _ in 0..6 {
            guard.check(&policy, &Key::from("ann")).await.unwrap();
        }
        let counted = expected([
            ("login|1/hour|allowed|store", 1),
            ("login|1/hour|denied|store", 2),
            ("login|1/hour|banned|store", 3),
        ]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn overflow_decisions_have_their_own_mode() {
    for quotas in ["1/hour", "1/hour; 9/day"] {
        Recorder::record(async |recorder| {
            let store = MemoryStore::new().max_keys(1).clock(test_util::ManualClock::new());
            let guard = RateGuard::builder().store(store).build().unwrap();
            let policy = policy("full", quotas);
            for number in 0..100 {
                let key = Key::from(format!("user {number}"));
                guard.check(&policy, &key).await.unwrap();
            }
            let counted = recorder.decisions();
            let count = |outcome: &str, mode: &str| {
                counted[&["full", "1/hour", outcome, mode].map(str::to_owned)]
            };
            assert_eq!(
                count("allowed", "store")
                    + count("allowed", "overflow")
                    + count("denied", "overflow"),
                100
            );
            // The store has no room for the 99 other keys, so they share 16 overflow slots. Some of these slots may
            // not be used.
            assert!((1..=16).contains(&count("allowed", "overflow")), "{counted:?}");
            assert_eq!(count("allowed", "store"), 1);
        });
    }
}

#[test]
fn waiting_check_is_counted_once_when_admitted() {
    Recorder::record(async |recorder| {
        let (guard, policy, key) =
            (RateGuard::in_memory(), policy("jobs", "1/100ms"), Key::from("queue"));
        for _ in 0..3 {
            let decision =
                guard.check_or_wait(&policy, &key, Duration::from_secs(60)).await.unwrap();
            assert!(decision.is_allowed());
        }
        let counted = recorder.decisions();
        assert_eq!(counted.values().sum::<u64>(), 3, "{counted:?}");
        assert!(counted.keys().all(|[_, _, outcome, _]| outcome == "allowed"), "{counted:?}");
    });
}
