//! Tests the decisions of a guard that is used without HTTP.

use std::{sync::Arc, time::Duration};

use actix_rateguard::{
    BuildError, Decision, Key, MemoryStore, Policy, RateGuard, Unavailable, test_util,
};
use futures_util::FutureExt;

use crate::support::redis_server::{RedisServer, free_port, url};

fn check(guard: &RateGuard, policy: &Policy, key: &Key) -> Result<Decision, Unavailable> {
    guard.check(policy, key).now_or_never().expect("a memory store decides without waiting")
}

#[test]
fn memory_guard_needs_no_async_runtime() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("jobs", "2/minute").unwrap();
    let key = Key::from("worker");
    assert_eq!(check(&guard, &policy, &key).unwrap().remaining(), 1);
    assert_eq!(guard.allows(&policy, &key).now_or_never(), Some(true));
    assert_eq!(guard.allows(&policy, &key).now_or_never(), Some(false));
    assert!(check(&guard, &policy, &Key::from("other")).unwrap().is_allowed());
}

#[test]
fn guard_clones_share_counts() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("jobs", "1/minute").unwrap();
    assert!(check(&guard.clone(), &policy, &Key::global()).unwrap().is_allowed());
    assert!(!check(&guard.clone(), &policy, &Key::global()).unwrap().is_allowed());
}

#[test]
fn changed_limit_applies_to_existing_counts() {
    let (guard, clock) = test_util::guard();
    let key = Key::from("job");
    let policy = |quota| Policy::new("jobs", quota).unwrap();
    for _ in 0..3 {
        assert!(check(&guard, &policy("3/minute"), &key).unwrap().is_allowed());
        clock.advance(Duration::from_secs(1));
    }
    assert!(!check(&guard, &policy("3/minute"), &key).unwrap().is_allowed());
    assert_eq!(check(&guard, &policy("5/minute"), &key).unwrap().remaining(), 1);
    assert!(!check(&guard, &policy("2/minute"), &key).unwrap().is_allowed());
}

#[test]
fn smallest_and_largest_quotas_work_in_memory() {
    let (guard, clock) = test_util::guard();
    let short = Policy::new("short", "1/1ms").unwrap();
    let long = Policy::new("long", "2147483648/365d").unwrap();
    let key = Key::global();
    assert!(check(&guard, &short, &key).unwrap().is_allowed());
    assert_eq!(check(&guard, &short, &key).unwrap().retry_after(), Some(Duration::from_millis(1)));
    clock.advance(Duration::from_millis(1));
    assert!(check(&guard, &short, &key).unwrap().is_allowed());
    let decision = check(&guard, &long, &key).unwrap();
    assert_eq!(decision.remaining(), (1 << 31) - 1);
    assert_eq!(decision.reset_after(), Duration::from_secs(365 * 86_400));
}

#[tokio::test]
async fn smallest_and_largest_quotas_work_on_redis() {
    let server = RedisServer::start();
    let guard = server.guard("ranges");
    let long = Policy::new("long", "2147483648/365d").unwrap();
    for left in 1..4 {
        let decision = guard.check(&long, &Key::global()).await.unwrap();
        assert_eq!(decision.remaining(), (1 << 31) - left);
        assert!(decision.reset_after() <= Duration::from_secs(365 * 86_400));
    }
    let short = Policy::new("short", "1/1ms").unwrap();
    for _ in 0..50 {
        while let Some(wait) = guard.check(&short, &Key::global()).await.unwrap().retry_after() {
            assert!(wait <= Duration::from_millis(1));
            tokio::time::sleep(wait).await;
        }
    }
}

#[test]
fn key_flood_respects_max_keys_and_frees_no_key() {
    let guard = RateGuard::builder().store(MemoryStore::new().max_keys(1_000)).build().unwrap();
    let policy = Policy::new("flood", "1/hour").unwrap();
    let victim = Key::from("victim");
    assert!(check(&guard, &policy, &victim).unwrap().is_allowed());
    let admitted = (0..50_000_u32)
        .filter(|key| check(&guard, &policy, &Key::from(*key)).unwrap().is_allowed())
        .count();
    // The store admits each key that has a separate log. The keys without a separate log share a few logs, and each
    // shared log admits one request.
    assert!((900..1_500).contains(&admitted), "{admitted}");
    assert!(!check(&guard, &policy, &victim).unwrap().is_allowed());
}

#[test]
fn invalid_builder_settings_are_rejected_with_the_reason() {
    let unreachable = || RateGuard::redis(url(free_port())).prefix("test");
    let reason = |error: BuildError| error.to_string();
    let pool = deadpool_redis::Config::from_url("redis://127.0.0.1")
        .create_pool(Some(deadpool_redis::Runtime::Tokio1))
        .unwrap();
    for (result, expected) in [
        (RateGuard::redis(url(free_port())).build(), "prefix: expected the name of your service"),
        (RateGuard::redis_pool(pool).build(), "prefix: expected the name of your service"),
        (
            RateGuard::upstash("https://localhost", "token").build(),
            "prefix: expected the name of your service",
        ),
        (unreachable().prefix("").build(), "prefix: expected a name of 1 to 200 bytes"),
        (unreachable().prefix("a{b}").build(), "prefix: expected a name of 1 to 200 bytes"),
        (
            unreachable().deadline(Duration::ZERO).build(),
            "deadline: expected a duration from 1 millisecond",
        ),
        (
            unreachable().deadline(Duration::from_secs(61)).build(),
            "deadline: expected a duration from 1 millisecond",
        ),
        (
            unreachable().max_in_flight(0).build(),
            "max_in_flight: expected a number of checks from 1",
        ),
        (
            unreachable().max_in_flight(usize::MAX).build(),
            "max_in_flight: expected a number of checks from 1 to 4294967295",
        ),
        (
            unreachable().replicas(0).build(),
            "replicas: expected a number of processes of at least 1",
        ),
        (
            unreachable().key_secret("fifteen bytes..").build(),
            "key_secret: expected a secret of at",
        ),
        (
            unreachable().retry_jitter(Duration::from_secs(3_601)).build(),
            "retry_jitter: expected a whole number of seconds, at most 1 hour",
        ),
        (
            unreachable().retry_jitter(Duration::from_millis(1_500)).build(),
            "retry_jitter: expected a whole number of seconds, at most 1 hour",
        ),
        (
            RateGuard::builder().memory_store(MemoryStore::new().max_keys(0)).build(),
            "max_keys of the in-memory store: expected at least 1",
        ),
        (
            RateGuard::builder().store(Arc::new(MemoryStore::new().max_keys(0))).build(),
            "max_keys of the in-memory store: expected at least 1",
        ),
        (
            RateGuard::builder()
                .policies_file("/nonexistent.toml")
                .policies_file_interval(Duration::from_millis(9))
                .build(),
            "policies_file_interval: expected a duration of at least 10 milliseconds",
        ),
        (
            RateGuard::builder().policies_file_interval(Duration::from_millis(9)).build(),
            "policies_file_interval: expected a duration of at least 10 milliseconds",
        ),
        (
            RateGuard::redis("localhost").prefix("test").build(),
            "Redis URL: expected a URL with redis://",
        ),
        (
            RateGuard::redis("rediss://localhost/#insecure").prefix("test").build(),
            "would accept any server",
        ),
        (
            RateGuard::redis("redis://:hunter2@:port").prefix("test").build(),
            "Redis URL: invalid host; expected a name",
        ),
    ] {
        let reason = reason(result.unwrap_err());
        assert!(reason.contains(expected), "{reason}");
        assert!(!reason.contains("hunter2") && !reason.contains("fifteen"), "{reason}");
    }
}

#[test]
fn debug_output_contains_no_secrets() {
    let builder = RateGuard::redis("redis://user:sentinel@127.0.0.1:1").prefix("app");
    let mut output = format!("{builder:?}");
    let guard = builder.build().unwrap();
    output += &format!(
        "{guard:?} {:?} {:?}",
        Key::from("sentinel"),
        actix_rateguard::UserId::new("sentinel")
    );
    assert!(!output.contains("sentinel"), "{output}");
}
