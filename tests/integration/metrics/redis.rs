//! Decisions on Redis, and without it.

use std::{pin::pin, task::Poll, time::Duration};

use futures_util::poll;
use rateguard::{Key, OnError, Policy, RateGuard, RateGuardBuilder};

use super::{Recorder, expected};
use crate::support::{
    PATIENCE,
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
fn what_redis_decided_is_counted_and_timed() {
    let redis = RedisServer::start();
    Recorder::hear(async |recorder| {
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
fn a_denial_that_is_remembered_is_told_from_one_that_was_asked_for() {
    let redis = RedisServer::start();
    Recorder::hear(async |recorder| {
        let guard = redis.as_usual("metrics").deadline(PATIENCE).remember_denials(PATIENCE);
        let guard = guard.build().unwrap();
        check(&guard, 8).await;
        let counted = expected([
            ("app|2/hour|allowed|store", 2),
            ("app|2/hour|denied|store", 1),
            ("app|2/hour|denied|remembered", 5),
        ]);
        assert_eq!(recorder.decisions(), counted);
        assert_eq!(recorder.measured("check"), 3);
        guard.update_gauges();
        assert_eq!(recorder.gauge("rateguard_remembered_denials", &[]), Some(1.0));
    });
}

/// What is told of five checks without Redis.
fn without_redis(on_error: OnError, then: impl Fn(&Recorder)) {
    Recorder::hear(async |recorder| {
        let guard = dead().on_error(on_error).build().unwrap();
        check(&guard, 5).await;
        assert_eq!(recorder.errors().values().sum::<u64>(), 5, "{:?}", recorder.errors());
        then(recorder);
    });
}

fn dead() -> RateGuardBuilder {
    RateGuard::redis(url(free_port())).deadline(PATIENCE)
}

#[test]
fn what_passes_undecided_is_told() {
    without_redis(OnError::Open, |recorder| {
        assert_eq!(recorder.decisions(), expected([("app|none|allowed|open", 5)]));
        assert_eq!(recorder.errors().into_keys().collect::<Vec<_>>(), ["unreachable"]);
    });
}

#[test]
fn what_is_refused_undecided_is_no_denial() {
    without_redis(OnError::Closed, |recorder| {
        assert_eq!(recorder.decisions(), expected([("app|none|refused|closed", 5)]));
    });
}

#[test]
fn what_this_process_decides_by_its_share_is_told() {
    without_redis(OnError::Local, |recorder| {
        let counted = expected([("app|2/hour|allowed|local", 2), ("app|2/hour|denied|local", 3)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn the_policy_whose_failure_mode_it_was_is_told() {
    Recorder::hear(async |recorder| {
        let guard = dead().build().unwrap();
        let strict = Policy::new("strict", "2/hour").unwrap().on_error(OnError::Closed);
        let (policy, key) = (policy(), Key::from("ann"));
        guard.request(&policy, &key).and(&strict, &key).check().await.unwrap_err();
        guard.request(&policy, &key).reserve().await.unwrap_err();
        guard.check_or_wait(&policy, &key, Duration::ZERO).await.unwrap_err();
        let counted = expected([("strict|none|refused|closed", 1), ("app|none|allowed|open", 2)]);
        assert_eq!(recorder.decisions(), counted);
    });
}

#[test]
fn an_open_breaker_is_seen_until_it_closes() {
    let mut redis = RedisServer::start();
    Recorder::hear(async |recorder| {
        let guard = redis.settings("metrics").deadline(PATIENCE).build().unwrap();
        let open = || {
            guard.update_gauges();
            recorder.gauge("rateguard_breakers_open", &[])
        };
        check(&guard, 1).await;
        assert_eq!(open(), Some(0.0));
        redis.kill();
        check(&guard, 20).await;
        assert_eq!(open(), Some(1.0));
        redis.revive();
        let begun = std::time::Instant::now();
        while open() == Some(1.0) {
            assert!(begun.elapsed() < PATIENCE);
            check(&guard, 1).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(open(), Some(0.0));
    });
}

#[test]
fn checks_that_wait_for_redis_are_seen() {
    let redis = RedisServer::start();
    Recorder::hear(async |recorder| {
        let guard = redis.guard("metrics");
        let in_flight = || {
            guard.update_gauges();
            recorder.gauge("rateguard_checks_in_flight", &[])
        };
        check(&guard, 1).await;
        assert_eq!(in_flight(), Some(0.0));
        redis.freeze();
        let (policy, key) = (policy(), Key::from("ann"));
        let mut waiting = pin!(guard.check(&policy, &key));
        assert!(matches!(poll!(waiting.as_mut()), Poll::Pending));
        assert_eq!(in_flight(), Some(1.0));
        redis.thaw();
        waiting.await.unwrap();
        assert_eq!(in_flight(), Some(0.0));
    });
}
