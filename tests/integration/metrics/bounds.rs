//! What a recorder is never told, and how much at the most.

use std::collections::BTreeSet;

use rateguard::{Key, Policy, Quota, RateGuard, metrics::MAX_PAIRS};

use super::{Recorder, expected};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

#[test]
fn ten_thousand_quotas_that_were_chosen_for_requests_are_two_hundred_and_other() {
    Recorder::hear(async |recorder| {
        let known = Policy::new("known", "5/minute").unwrap();
        let guard = RateGuard::builder().policy(known.clone()).for_attributes(false);
        let guard = guard.build().unwrap();
        for limit in 1..=10_000 {
            let quota = Quota::new(limit, SECOND).unwrap();
            let plan = Policy::new(format!("plan-{}", limit % 7), quota).unwrap();
            guard.check(&plan, &Key::from("ann")).await.unwrap();
        }
        let counted = recorder.decisions();
        assert_eq!(counted.values().sum::<u64>(), 10_000);
        let pairs: BTreeSet<_> =
            counted.keys().map(|[policy, quota, ..]| [policy, quota]).collect();
        // One of them is other, and one place is for the policy that was known.
        assert_eq!(pairs.len(), MAX_PAIRS);
        let other = ["other", "other", "allowed", "store"].map(str::to_owned);
        assert_eq!(counted[&other], 10_000 - (MAX_PAIRS as u64 - 1));
        assert_eq!(recorder.samples("rateguard_quota_limit").len(), MAX_PAIRS);

        // It was known before all of those.
        guard.check(&known, &Key::from("ann")).await.unwrap();
        let its = ["known", "5/minute", "allowed", "store"].map(str::to_owned);
        assert_eq!(recorder.decisions()[&its], 1);
    });
}

#[test]
fn a_recorder_that_comes_later_hears_of_what_comes_after_it() {
    let (guard, key) = (RateGuard::in_memory(), Key::from("ann"));
    let policy = Policy::new("late", "5/minute").unwrap();
    let check = async || drop(guard.check(&policy, &key).await.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        check().await;
        check().await;
        guard.update_gauges();
    });
    Recorder::hear(async |recorder| {
        check().await;
        guard.update_gauges();
        assert_eq!(recorder.decisions(), expected([("late|5/minute|allowed|store", 1)]));
        assert_eq!(recorder.gauge("rateguard_memory_keys", &[("store", "memory")]), Some(1.0));
    });
}

#[test]
fn no_key_is_in_what_is_told() {
    const SENTINEL: &str = "Zx9-sentinel-7Qw";
    Recorder::hear(async |recorder| {
        let guard = RateGuard::builder().key_secret(SENTINEL).build().unwrap();
        let policy = Policy::new("login", "1/hour; 9/day").unwrap().ban("1/hour for 1h").unwrap();
        let plain = Policy::new("plain", "1/hour").unwrap();
        for _ in 0..3 {
            guard.check(&policy, &Key::from(SENTINEL)).await.unwrap();
            guard.check(&plain, &Key::from(SENTINEL)).await.unwrap();
        }
        guard.update_gauges();
        let text = recorder.text();
        assert!(text.contains("login") && text.contains("plain"), "{text}");
        assert!(!text.contains(SENTINEL), "{text}");
        // Nor anything of its digest: no word of the text is as long.
        let longest = text.split(|it: char| !it.is_ascii_hexdigit()).map(str::len).max();
        assert!(longest < Some(16), "{text}");
    });
}
