//! Tests that the Grafana dashboard queries all metrics that the library exports, and no other metrics.

use std::collections::BTreeSet;

use actix_rateguard::metrics::{self, Metric, MetricKind};
use serde_json::Value;

use super::{Recorder, names};

/// The possible values of the labels `outcome` and `mode`.
const OUTCOMES: [&str; 4] = ["allowed", "denied", "banned", "rejected"];
const MODES: [&str; 7] =
    ["store", "overflow", "cached_denial", "local", "open", "closed", "shadow"];

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../../dashboards/rateguard.json")).unwrap()
}

/// Collects the queries of all panels and variables in the dashboard.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if matches!(&**name, "expr" | "query") => {
                        found.push(text.clone());
                    }
                    _ => queries(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

fn all_queries() -> Vec<String> {
    let mut found = Vec::new();
    queries(&dashboard(), &mut found);
    // A data source also has a field with the name `query`. Its value `prometheus` is not a query.
    found.retain(|query| query != "prometheus");
    found
}

/// Returns the words of a query. Each word is paired with the text that follows it in the query.
fn words(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word_char = |it: char| it.is_ascii_alphanumeric() || it == '_';
    query.split(move |it| !is_word_char(it)).filter(|word| !word.is_empty()).map(move |word| {
        let end = word.as_ptr() as usize - query.as_ptr() as usize + word.len();
        (word, &query[end..])
    })
}

/// Returns the metric that has this name in a query. For a histogram, the name in a query ends with `_bucket`, `_sum`
/// or `_count`.
fn metric(name: &str) -> Option<Metric> {
    metrics::ALL.into_iter().find(|metric| match metric.kind {
        MetricKind::Histogram => {
            ["_bucket", "_sum", "_count"].iter().any(|it| format!("{}{it}", metric.name) == name)
        }
        _ => metric.name == name,
    })
}

#[test]
fn dashboard_queries_exactly_the_exported_metrics() {
    let queries = all_queries();
    assert!(queries.len() > 9, "{queries:?}");
    let mut queried = BTreeSet::new();
    for query in &queries {
        let names: Vec<_> =
            words(query).filter(|(word, _)| word.starts_with("rateguard_")).collect();
        assert!(!names.is_empty(), "{query}");
        for (name, rest) in names {
            let metric = metric(name).unwrap_or_else(|| panic!("{name} does not exist: {query}"));
            queried.insert(metric.name);
            // The values of counters and histograms only increase. Therefore the dashboard must query their rates.
            let is_rate = metric.kind != MetricKind::Gauge && !query.starts_with("label_values");
            let rest = rest.split_once('}').map_or(rest, |(_, rest)| rest);
            assert_eq!(rest.starts_with("[$__rate_interval]"), is_rate, "{query}");
        }
    }
    let all: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(queried, all);
}

#[test]
fn queried_metrics_are_in_the_exported_text() {
    names::with_all_metrics(|recorder: &Recorder| {
        let text = recorder.text();
        for query in all_queries() {
            for (name, _) in words(&query).filter(|(word, _)| word.starts_with("rateguard_")) {
                let is_exported = text.lines().any(|line| {
                    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                });
                assert!(is_exported, "{name}: {text}");
            }
        }
    });
}

#[test]
fn queried_labels_exist_on_their_metrics() {
    for query in all_queries() {
        let labels: Vec<_> = words(&query)
            .filter_map(|(word, _)| metric(word))
            .flat_map(|metric| metric.labels)
            .copied()
            .chain(["le"])
            .collect();
        for inside in query.split('{').skip(1).filter_map(|rest| rest.split_once('}')) {
            for matcher in inside.0.split(',') {
                let (label, value) = matcher.split_once('=').unwrap();
                let label = label.trim().trim_end_matches('!');
                let value = value.trim_start_matches('~').trim_matches('"');
                assert!(labels.contains(&label), "{query}");
                let values: &[&str] = match label {
                    "outcome" => &OUTCOMES,
                    "mode" => &MODES,
                    _ => continue,
                };
                assert!(value.split('|').all(|value| values.contains(&value)), "{query}");
            }
        }
        for by in query.split("by (").skip(1).filter_map(|rest| rest.split_once(')')) {
            assert!(by.0.split(", ").all(|label| labels.contains(&label)), "{query}");
        }
    }
}

#[test]
fn panels_have_titles_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut covered = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(covered.insert(cell), "{} overlaps another panel", panel["title"]);
        }
    }
}
