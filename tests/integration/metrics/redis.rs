//! Tests the metrics of decisions that Redis makes, and of decisions while Redis is unreachable.

use std::{pin::pin, task::Poll, time::Duration};

use actix_rateguard::{Key, OnError, Policy, RateGuard, RateGuardBuilder, builder::Redis};
use futures_util::poll;

use super::{Recorder, expected};
use crate::support::{
    TEST_TIMEOUT,
    redis_server::{RedisServer, free_port, url},
};

fn policy() -> Policy {
    Policy::new("app", "2/hour").unwrap()
}

async fn check(guard: &RateGuard, times: u32) {
    for _ in 0..times {
        let _ = guard.check(&policy(), &Key::from("ann")).await;
    }
}

#[test]
fn redis_decisions_are_counted_and_timed() {
    let redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let guard = redis.guard("metrics");
        check(&guard, 5).await;
        let counted = expected([("app|2/hour|allowed|store", 2), ("app|2/hour|denied|store", 3)]);
        assert_eq!(recorder.decisions(), counted);
        assert_eq!([recorder.measured("check"), recorder.measured("peek")], [5, 0]);
        guard.peek(&policy(), &Key::from("ann")).await.unwrap();
        guard.check_or_wait(&policy(), &Key::from("ann"), Duration::ZERO).await.unwrap();
        assert_eq!([recorder.measured("check"), recorder.measured("peek")], [6, 1]);
        assert_eq!(recorder.decisions().values().sum::<u64>(), 6);
        assert!(recorder.errors().is_empty());
        let labels = [("policy", "app"), ("quota", "2/hour")];
        assert_eq!(recorder.gauge("rateguard_quota_limit", &labels), Some(2.0));
    });
}

#[test]
fn cached_denials_have_their_own_mode() {
    let redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let guard = redis
            .settings_with_denial_cache("metrics")
            .deadline(TEST_TIMEOUT)
            .denial_cache_ttl(TEST_TIMEOUT);
        let guard = guard.build().unwrap();
        check(&guard, 8).await;
        let counted = expected([
            ("app|2/hour|allowed|store", 2),
            ("app|2/hour|denied|store", 1),
            ("app|2/hour|denied|cached_denial", 5),
        ]);
        assert_eq!(recorder.decisions(), counted);
        assert_eq!(recorder.measured("check"), 3);
        guard.update_gauges();
        assert_eq!(recorder.gauge("rateguard_cached_denials", &[]), Some(1.0));
    });
}

/// Sends five checks while Redis is unreachable, and then calls `assert`.
fn record_without_redis(on_error: OnError, assert: impl Fn(&Recorder)) {
    Recorder::record(async |recorder| {
        let guard = unreachable().on_error(on_error).build().unwrap();
        check(&guard, 5).await;
        assert_eq!(recorder.errors().values().sum::<u64>(), 5, "{:?}", recorder.errors());
        assert(recorder);
    });
}

/// Returns settings of a guard whose Redis server does not exist.
fn unreachable() -> RateGuardBuilder<Redis> {
    RateGuard::redis(url(free_port())).prefix("test").deadline(TEST_TIMEOUT)
}

#[test]
fn fail_open_checks_are_counted() {
    record_without_redis(OnError::Open, |recorder| {
        assert_eq!(recorder.decisions(), expected([("app|none|allowed|open", 5)]));
        assert_eq!(recorder.errors().into_keys().collect::<Vec<_>>(), ["unreachable"]);
    });
}

#[test]
fn fail_closed_checks_are_not_counted_as_denials() {
    record_without_redis(OnError::Closed, |recorder| {
        assert_eq!(recorder.decisions(), expected([("app|none|rejected|closed", 5)]));
    });
}

#[test]
fn local_decisions_are_counted() {
    record_without_redis(OnError::Local, |recorder| {
        let counted = expected([("app|2/hour|allowed|local", 2), ("app|2/hour|denied|local", 3)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn failure_is_counted_under_the_strictest_policy() {
    Recorder::record(async |recorder| {
        let guard = unreachable().build().unwrap();
        let strict = Policy::new("strict", "2/hour").unwrap().on_error(OnError::Closed);
        let (policy, key) = (policy(), Key::from("ann"));
        guard.request(&policy, &key).and(&strict, &key).check().await.unwrap_err();
        guard.request(&policy, &key).reserve().await.unwrap_err();
        guard.check_or_wait(&policy, &key, Duration::ZERO).await.unwrap_err();
        let counted = expected([("strict|none|rejected|closed", 1), ("app|none|allowed|open", 2)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn breaker_gauge_is_one_until_the_breaker_closes() {
    let mut redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let guard = redis.settings("metrics").deadline(TEST_TIMEOUT).build().unwrap();
        let open = || {
            guard.update_gauges();
            recorder.gauge("rateguard_breakers_open", &[])
        };
        check(&guard, 1).await;
        assert_eq!(open(), Some(0.0));
        redis.kill();
        check(&guard, 20).await;
        assert_eq!(open(), Some(1.0));
        redis.restart_with_data();
        let started = std::time::Instant::now();
        while open() == Some(1.0) {
            assert!(started.elapsed() < TEST_TIMEOUT);
            check(&guard, 1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(open(), Some(0.0));
    });
}

#[test]
fn connections_gauge_counts_connection_of_io_thread_and_of_worker() {
    let redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let guard = redis.guard("connections");
        let connections = || {
            guard.update_gauges();
            recorder.gauge("rateguard_redis_connections", &[])
        };
        let started = std::time::Instant::now();
        // The worker connects after its first check, while the connection of the I/O thread serves the check.
        while connections() != Some(2.0) {
            assert!(started.elapsed() < TEST_TIMEOUT, "{:?}", connections());
            check(&guard, 1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(guard);
        assert_eq!(recorder.gauge("rateguard_redis_connections", &[]), Some(0.0));
    });
}

#[test]
fn in_flight_gauge_counts_waiting_checks() {
    let redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let guard = redis.guard("metrics");
        let in_flight = || {
            guard.update_gauges();
            recorder.gauge("rateguard_checks_in_flight", &[])
        };
        check(&guard, 1).await;
        assert_eq!(in_flight(), Some(0.0));
        redis.freeze();
        let (policy, key) = (policy(), Key::from("ann"));
        let mut check = pin!(guard.check(&policy, &key));
        assert!(matches!(poll!(check.as_mut()), Poll::Pending));
        assert_eq!(in_flight(), Some(1.0));
        redis.thaw();
        check.await.unwrap();
        assert_eq!(in_flight(), Some(0.0));
    });
}
