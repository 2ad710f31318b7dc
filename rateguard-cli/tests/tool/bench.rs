//! Tests of `rateguard bench`.

use crate::support::{Redis, eventually, free_port, run};

#[test]
fn bench_reports_settings_and_deletes_its_keys() {
    let redis = Redis::start();
    let json = run(&["bench", &redis.url(), "--seconds", "2", "--json"]).json();
    assert_eq!((&json["version"], &json["failed"]), (&1.into(), &0.into()));
    assert!(json["check"]["p50_seconds"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["concurrent"].as_array().unwrap().len(), 3);
    let names: Vec<_> = json["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["deadline", "on_error", "denial_cache_ttl", "lease"]);
    // Two token buckets keep the time of their deletion for a second.
    assert!(redis.keys() <= 2);
    eventually("all keys expire", || (redis.keys() == 0).then_some(()));
    let text = run(&["bench", &redis.url(), "--seconds", "2"]).success();
    assert!(text.contains("Measured from this machine, with one thread:"), "{text}");
    assert!(text.contains("Settings that follow:\n  deadline = "), "{text}");
}

#[test]
fn bench_without_redis_is_unreachable() {
    let finished = run(&["bench", &format!("redis://:secret-password@127.0.0.1:{}", free_port())]);
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(!finished.stderr.contains("secret-password"), "{finished:?}");
}
