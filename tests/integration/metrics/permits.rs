//! Tests the metrics of permits.

use std::time::Duration;

use actix_rateguard::{Key, Policy, RateGuard};
use prometheus_parse::Value;

use super::Recorder;
use crate::support::{TEST_TIMEOUT, redis_server::RedisServer};

const HELD: &str = "rateguard_permits_held";
const WAITING: &str = "rateguard_permits_waiting";

impl Recorder {
    fn permits(&self, name: &str) -> f64 {
        let sample = self.samples(name).remove(0);
        match sample.value {
            Value::Gauge(value) | Value::Counter(value) => value,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn gauges_of_permits_follow_acquire_and_release() {
    Recorder::record(async |recorder| {
        let guard = RateGuard::in_memory();
        let policy = Policy::new("exports", "1 concurrent").unwrap();
        let key = Key::global();
        let permit = guard.acquire(&policy, &key).await.unwrap();
        let mut waiting = Box::pin(guard.acquire_or_wait(&policy, &key, TEST_TIMEOUT));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        guard.update_gauges();
        assert_eq!((recorder.permits(HELD), recorder.permits(WAITING)), (1.0, 1.0));
        drop((permit, waiting));
        guard.update_gauges();
        assert_eq!((recorder.permits(HELD), recorder.permits(WAITING)), (0.0, 0.0));
    });
}

#[test]
fn renewals_and_expired_permits_are_counted() {
    Recorder::record(async |recorder| {
        let server = RedisServer::start();
        let guard = server.guard("metrics");
        let policy = Policy::new("exports", "1 concurrent lease 1s").unwrap();
        let permit = guard.acquire(&policy, &Key::global()).await.unwrap().into_permit().unwrap();
        let until = async |name: &str| {
            guard.update_gauges();
            while recorder.permits(name) == 0.0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                guard.update_gauges();
            }
        };
        until("rateguard_permits_renewed_total").await;
        assert_eq!(recorder.permits("rateguard_permits_expired_total"), 0.0);
        guard.reset(&policy, &Key::global()).await.unwrap();
        until("rateguard_permits_expired_total").await;
        assert!(!permit.is_valid());
        drop(permit);
        guard.update_gauges();
        assert_eq!(recorder.permits("rateguard_permits_expired_total"), 1.0);
    });
}
