//! Tests the metrics of waiting requests, and uses them to test what a flood behind a queue costs.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{Key, MemoryStore, Policy, RateGuard, test_util::TokioClock};
use prometheus_parse::Value;
use tokio::time::timeout;

use super::Recorder;
use crate::support::{
    TEST_TIMEOUT,
    redis_server::{RedisServer, script_calls},
};

/// Returns the number of waiting requests of this guard.
fn waiting(recorder: &Recorder, guard: &RateGuard) -> f64 {
    guard.update_gauges();
    match recorder.samples("rateguard_requests_waiting").remove(0).value {
        Value::Gauge(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Returns the number of waits for each outcome.
fn waits(recorder: &Recorder) -> BTreeMap<String, f64> {
    let samples = recorder.samples("rateguard_waits_total").into_iter();
    let parse = |sample: prometheus_parse::Sample| {
        let Value::Counter(count) = sample.value else { panic!("{sample:?}") };
        (sample.labels["outcome"].to_owned(), count)
    };
    samples.map(parse).collect()
}

#[test]
fn waits_are_counted_by_outcome() {
    Recorder::record(async |recorder| {
        tokio::time::pause();
        let store = MemoryStore::new().clock(TokioClock::new());
        let guard = RateGuard::builder().store(store).build().unwrap();
        let (policy, key) = (Policy::new("jobs", "1/10s").unwrap(), Key::global());
        for _ in 0..3 {
            assert!(guard.check_or_wait(&policy, &key, TEST_TIMEOUT).await.unwrap().is_allowed());
        }
        let policy = Policy::new("rare", "1/50s").unwrap();
        assert!(guard.check_or_wait(&policy, &key, TEST_TIMEOUT).await.unwrap().is_allowed());
        // A request that is denied immediately does not wait.
        let denial = guard.check_or_wait(&policy, &key, Duration::from_secs(1)).await.unwrap();
        assert_eq!(denial.waited(), Duration::ZERO);
        let [mut dropped, mut denied] =
            [(); 2].map(|()| Box::pin(guard.check_or_wait(&policy, &key, TEST_TIMEOUT * 9)));
        for request in [&mut dropped, &mut denied] {
            assert!(futures_util::poll!(request).is_pending());
        }
        assert_eq!(waiting(recorder, &guard), 2.0);
        drop(dropped);
        assert_eq!(waiting(recorder, &guard), 1.0);
        guard.close().await;
        assert!(!denied.await.unwrap().is_allowed());
        assert_eq!(waiting(recorder, &guard), 0.0);
        let expected = [("allowed".to_owned(), 2.0), ("denied".to_owned(), 1.0)];
        assert_eq!(waits(recorder), BTreeMap::from(expected));
    });
}

#[test]
fn flood_behind_a_full_queue_does_not_reach_redis() {
    Recorder::record(async |recorder| {
        let redis = RedisServer::start();
        let guard = redis.settings_with_denial_cache("flood").denial_cache_ttl(TEST_TIMEOUT);
        let guard = guard.deadline(TEST_TIMEOUT).max_waiting_per_key(1).build().unwrap();
        let (policy, key) = (Policy::new("jobs", "1/50s").unwrap(), Key::global());
        assert!(guard.check(&policy, &key).await.unwrap().is_allowed());
        let request = guard.request(&policy, &key);
        let reserve = || request.reserve_within_waits([TEST_TIMEOUT]);
        let mut first = Box::pin(reserve());
        while waiting(recorder, &guard) < 1.0 {
            assert!(timeout(Duration::from_millis(5), &mut first).await.is_err());
        }
        let denial = reserve().await.unwrap();
        let calls = script_calls(&redis);
        for _ in 0..100 {
            let repeated = reserve().await.unwrap();
            assert!(!repeated.decision().is_allowed());
            assert!(repeated.decision().retry_after() <= denial.decision().retry_after());
            assert!(repeated.decision().retry_after() > Some(Duration::from_secs(50)));
        }
        assert_eq!(script_calls(&redis), calls);
        // The request in the queue leaves, so the next request asks Redis again, and waits.
        drop(first);
        assert!(timeout(Duration::from_millis(5), reserve()).await.is_err());
    });
}
