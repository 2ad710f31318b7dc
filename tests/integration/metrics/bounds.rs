//! Tests that the metrics are bounded. The number of label combinations has a maximum, and labels never contain keys.

use std::collections::BTreeSet;

use actix_rateguard::{Key, Policy, Quota, RateGuard, metrics::MAX_PAIRS};

use super::{Recorder, expected};

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

#[test]
fn per_request_quotas_beyond_max_pairs_are_labeled_other() {
    Recorder::record(async |recorder| {
        let registered = Policy::new("registered", "5/minute").unwrap();
        let guard = RateGuard::builder().policy(registered.clone()).for_attributes(false);
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
        // The metrics count each pair of a policy and a quota. One of the pairs has the label `other` and counts all
        // policies without a separate pair. One additional pair is reserved for the registered policy.
        assert_eq!(pairs.len(), MAX_PAIRS);
        let other = ["other", "other", "allowed", "store"].map(str::to_owned);
        assert_eq!(counted[&other], 10_000 - (MAX_PAIRS as u64 - 1));
        assert_eq!(recorder.samples("rateguard_quota_limit").len(), MAX_PAIRS);

        // The reserved pair is still free, so the registered policy gets this pair and not the label `other`.
        guard.check(&registered, &Key::from("ann")).await.unwrap();
        let labels = ["registered", "5/minute", "allowed", "store"].map(str::to_owned);
        assert_eq!(recorder.decisions()[&labels], 1);
    });
}

#[test]
fn late_recorder_receives_only_later_decisions() {
    let (guard, key) = (RateGuard::in_memory(), Key::from("ann"));
    let policy = Policy::new("late", "5/minute").unwrap();
    let check = async || drop(guard.check(&policy, &key).await.unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        check().await;
        check().await;
        guard.update_gauges();
    });
    Recorder::record(async |recorder| {
        check().await;
        guard.update_gauges();
        assert_eq!(recorder.decisions(), expected([("late|5/minute|allowed|store", 1)]));
        assert_eq!(recorder.gauge("rateguard_memory_keys", &[("store", "memory")]), Some(1.0));
    });
}

#[test]
fn metrics_contain_no_key() {
    const SENTINEL: &str = "Zx9-sentinel-7Qw";
    Recorder::record(async |recorder| {
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
        // The text has no hexadecimal word with 16 or more digits. Therefore it does not contain the digest of the
        // key.
        let longest = text.split(|it: char| !it.is_ascii_hexdigit()).map(str::len).max();
        assert!(longest < Some(16), "{text}");
    });
}
