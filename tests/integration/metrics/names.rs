//! Each metric is exported under its name, and the README has them all.

use std::collections::BTreeMap;

use prometheus_parse::Value;
use rateguard::{
    Key, Policy, RateGuard,
    metrics::{self, Metric, MetricKind},
};

use super::Recorder;
use crate::support::{
    PATIENCE,
    redis_server::{RedisServer, free_port, url},
};

/// A text in which all metrics are.
pub(super) fn of_all(act: impl Fn(&Recorder)) {
    let redis = RedisServer::start();
    Recorder::hear(async |recorder| {
        let dead = RateGuard::redis(url(free_port())).deadline(PATIENCE).build().unwrap();
        for guard in [redis.guard("metrics"), dead, RateGuard::in_memory()] {
            let policy = Policy::new("app", "2/hour").unwrap();
            let _ = guard.check(&policy, &Key::from("ann")).await;
            guard.update_gauges();
            // It stays, and so does what it has told.
            std::mem::forget(guard);
        }
        act(recorder);
    });
}

#[test]
fn what_is_told_has_the_name_the_kind_the_labels_and_the_help_that_are_written_down() {
    of_all(|recorder| {
        let scrape = recorder.scrape();
        let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for sample in &scrape.samples {
            // Sum and count are told apart from the histogram.
            let name = sample.metric.trim_end_matches("_sum").trim_end_matches("_count");
            told.entry(name.to_owned()).or_default().push(sample);
        }
        let names: Vec<_> = told.keys().cloned().collect();
        let mut expected: Vec<_> =
            metrics::ALL.iter().map(|metric| metric.name.to_owned()).collect();
        expected.sort();
        assert_eq!(names, expected);
        for Metric { name, kind, labels, help, .. } in metrics::ALL {
            assert_eq!(scrape.docs.get(name).map(String::as_str), Some(help));
            for sample in told[name].iter().filter(|sample| sample.metric == name) {
                let is_its_kind = match &sample.value {
                    Value::Counter(_) => kind == MetricKind::Counter,
                    Value::Gauge(_) => kind == MetricKind::Gauge,
                    Value::Histogram(_) => kind == MetricKind::Histogram,
                    _ => false,
                };
                assert!(is_its_kind, "{sample:?}");
                let mut known: Vec<_> = sample.labels.keys().map(String::as_str).collect();
                known.sort_unstable();
                let mut expected = labels.to_vec();
                expected.sort_unstable();
                assert_eq!(known, expected, "{name}");
            }
        }
    });
}

#[test]
fn names_are_as_prometheus_wants_them() {
    for metric in metrics::ALL {
        let name = metric.name;
        assert!(name.starts_with("rateguard_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
        let is_a_time = metric.unit == ::metrics::Unit::Seconds;
        assert_eq!(name.ends_with("_seconds"), is_a_time, "{name}");
    }
}

#[test]
fn the_readme_has_a_line_for_each() {
    let readme = include_str!("../../../README.md");
    let mut lines = readme.lines().filter(|line| line.starts_with("| `rateguard_"));
    for Metric { name, kind, labels, help, .. } in metrics::ALL {
        let kind = format!("{kind:?}").to_lowercase();
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let line = format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "));
        assert_eq!(lines.next(), Some(&*line));
    }
    assert_eq!(lines.next(), None);
}
