//! Tests the metrics of leases.

use std::time::Duration;

use actix_rateguard::{Key, Policy};
use prometheus_parse::Value;

use super::Recorder;
use crate::support::redis_server::RedisServer;

#[test]
fn leased_decisions_and_unused_units_are_reported() {
    Recorder::record(async |recorder| {
        let server = RedisServer::start();
        let guard = server.guard("metrics");
        let policy = Policy::new("hot", "100000/10m lease 50 for 10s").unwrap();
        let unused = || {
            guard.update_gauges();
            match recorder.samples("rateguard_leased_units").remove(0).value {
                Value::Gauge(value) => value,
                other => panic!("{other:?}"),
            }
        };
        while !guard.check(&policy, &Key::global()).await.unwrap().is_leased() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The first lease of a key has 16 units.
        assert_eq!(unused(), 15.0);
        let decisions = recorder.samples("rateguard_decisions_total");
        let is_leased = |labels: &prometheus_parse::Labels| {
            labels.get("mode") == Some("lease") && labels.get("policy") == Some("hot")
        };
        assert!(decisions.iter().any(|sample| is_leased(&sample.labels)), "{decisions:?}");
        guard.close().await;
        assert_eq!(unused(), 0.0);
    });
}
