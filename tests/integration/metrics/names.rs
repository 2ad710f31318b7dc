//! Tests that the library exports the metrics that are documented, and that `docs/telemetry.md` lists all of them.

use std::collections::BTreeMap;

use actix_rateguard::{
    Key, Policy, RateGuard,
    metrics::{self, Metric, MetricKind},
};
use prometheus_parse::Value;

use super::Recorder;
use crate::support::{
    TEST_TIMEOUT,
    redis_server::{RedisServer, free_port, url},
};

/// Records a value for every metric, and then calls `action`.
pub(super) fn with_all_metrics(action: impl Fn(&Recorder)) {
    let redis = RedisServer::start();
    Recorder::record(async |recorder| {
        let unreachable = RateGuard::redis(url(free_port()))
            .prefix("test")
            .deadline(TEST_TIMEOUT)
            .build()
            .unwrap();
        for guard in [redis.guard("metrics"), unreachable, RateGuard::in_memory()] {
            let policy = Policy::new("app", "2/hour").unwrap();
            let _ = guard.check(&policy, &Key::from("ann")).await;
            guard.update_gauges();
            // If a guard is dropped, its values are removed from the gauges. Therefore the test does not drop the
            // guard.
            std::mem::forget(guard);
        }
        let guard = RateGuard::in_memory();
        let (policy, key) = (Policy::new("app", "1/10ms").unwrap(), Key::global());
        let wait = || guard.check_or_wait(&policy, &key, TEST_TIMEOUT);
        while wait().await.unwrap().waited().is_zero() {}
        action(recorder);
    });
}

#[test]
fn exported_metrics_match_their_definitions() {
    with_all_metrics(|recorder| {
        let scrape = recorder.scrape();
        let mut exported: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for sample in &scrape.samples {
            // The parser returns the sum and the count of a histogram as two more metrics, with a suffix in their
            // names.
            let name = sample.metric.trim_end_matches("_sum").trim_end_matches("_count");
            exported.entry(name.to_owned()).or_default().push(sample);
        }
        let names: Vec<_> = exported.keys().cloned().collect();
        let mut expected: Vec<_> =
            metrics::ALL.iter().map(|metric| metric.name.to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected);
        for Metric { name, kind, labels, help, .. } in metrics::ALL {
            assert_eq!(scrape.docs.get(name).map(String::as_str), Some(help));
            for sample in exported[name].iter().filter(|sample| sample.metric == name) {
                let is_of_kind = match &sample.value {
                    Value::Counter(_) => kind == MetricKind::Counter,
                    Value::Gauge(_) => kind == MetricKind::Gauge,
                    Value::Histogram(_) => kind == MetricKind::Histogram,
                    _ => false,
                };
                assert!(is_of_kind, "{sample:?}");
                let mut found: Vec<_> = sample.labels.keys().map(String::as_str).collect();
                found.sort_unstable();
                let mut expected = labels.to_vec();
                expected.sort_unstable();
                assert_eq!(found, expected, "{name}");
            }
        }
    });
}

#[test]
fn metric_names_follow_prometheus_conventions() {
    for metric in metrics::ALL {
        let name = metric.name;
        assert!(name.starts_with("rateguard_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
        let is_a_time = metric.unit == ::metrics::Unit::Seconds;
        assert_eq!(name.ends_with("_seconds"), is_a_time, "{name}");
    }
}

#[test]
fn telemetry_document_lists_every_metric() {
    let document = include_str!("../../../docs/telemetry.md");
    let mut lines = document.lines().filter(|line| line.starts_with("| `rateguard_"));
    for Metric { name, kind, labels, help, .. } in metrics::ALL {
        let kind = format!("{kind:?}").to_lowercase();
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let line = format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "));
        assert_eq!(lines.next(), Some(&*line));
    }
    assert_eq!(lines.next(), None);
}
