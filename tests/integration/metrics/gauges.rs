//! Tests the gauges, whose values a guard sets in `update_gauges`.

use std::{fs, time::Duration};

use actix_rateguard::{Key, Policy, RateGuard};

use super::Recorder;
use crate::support::folder::Folder;

const KEYS: &str = "rateguard_memory_keys";
const IN_MEMORY: [(&str, &str); 1] = [("store", "memory")];

async fn check(guard: &RateGuard, keys: u32) {
    let policy = Policy::new("app", "5/hour").unwrap();
    for key in 0..keys {
        guard.check(&policy, &Key::from(key.to_string())).await.unwrap();
    }
}

#[test]
fn memory_keys_gauge_sums_all_live_guards() {
    Recorder::record(async |recorder| {
        let (one, other) = (RateGuard::in_memory(), RateGuard::in_memory());
        check(&one, 3).await;
        check(&other, 4).await;
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), None);
        for _ in 0..2 {
            one.update_gauges();
            other.update_gauges();
            assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(7.0));
        }
        check(&one, 10).await;
        one.update_gauges();
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(14.0));
        drop(one);
        assert_eq!(recorder.gauge(KEYS, &IN_MEMORY), Some(4.0));
    });
}

#[test]
fn quota_gauges_are_exported_before_first_use() {
    Recorder::record(async |recorder| {
        let policy = Policy::new("api", "5/second; 1000/day token_bucket burst 20").unwrap();
        let _guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
        for (quota, limit, window) in
            [("5/second", 5.0, 1.0), ("1000/day token_bucket burst 20", 1000.0, 86_400.0)]
        {
            let labels = [("policy", "api"), ("quota", quota)];
            assert_eq!(recorder.gauge("rateguard_quota_limit", &labels), Some(limit));
            assert_eq!(recorder.gauge("rateguard_quota_window_seconds", &labels), Some(window));
        }
    });
}

#[test]
fn removed_quota_gauges_become_zero() {
    Recorder::record(async |recorder| {
        let folder = Folder::new();
        let text = |rate: &str| format!("[policies.search]\nrate = \"{rate}\"\n");
        let path = folder.file("rateguard.toml", &text("5/second; 9/minute"));
        let builder = RateGuard::builder().policies_file(&path).for_attributes(false);
        let guard = builder.policies_file_interval(Duration::ZERO).build().unwrap();
        let limits = || {
            guard.update_gauges();
            ["5/second", "9/minute", "7/second"].map(|quota| {
                let labels = [("policy", "search"), ("quota", quota)];
                let limit = recorder.gauge("rateguard_quota_limit", &labels);
                let window = recorder.gauge("rateguard_quota_window_seconds", &labels);
                assert_eq!(limit == Some(0.0), window == Some(0.0));
                limit
            })
        };
        assert_eq!(limits(), [Some(5.0), Some(9.0), None]);
        fs::write(&path, text("7/second; 9/minute")).unwrap();
        guard.reload_policies().unwrap();
        for _ in 0..2 {
            assert_eq!(limits(), [Some(0.0), Some(9.0), Some(7.0)]);
        }
        fs::write(&path, text("5/second")).unwrap();
        guard.reload_policies().unwrap();
        assert_eq!(limits(), [Some(5.0), Some(0.0), Some(0.0)]);
    });
}
