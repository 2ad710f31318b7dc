//! The dashboard asks for what there is, and for all of it.

use std::collections::BTreeSet;

use rateguard::metrics::{self, Metric, MetricKind};
use serde_json::Value;

use super::{Recorder, names};

/// The values of labels that have a few, `shadow` among them.
const OUTCOMES: [&str; 4] = ["allowed", "denied", "banned", "refused"];
const MODES: [&str; 7] = ["store", "overflow", "remembered", "local", "open", "closed", "shadow"];

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../../dashboards/rateguard.json")).unwrap()
}

/// All that is asked for, by panels and variables.
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
    // That of the data source is no query.
    found.retain(|query| query != "prometheus");
    found
}

/// The words of a query, and what stands behind each.
fn words(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_of_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    query.split(move |it| !is_of_word(it)).filter(|word| !word.is_empty()).map(move |word| {
        let end = word.as_ptr() as usize - query.as_ptr() as usize + word.len();
        (word, &query[end..])
    })
}

/// The metric that is asked for under this name.
fn metric(name: &str) -> Option<Metric> {
    metrics::ALL.into_iter().find(|metric| match metric.kind {
        MetricKind::Histogram => {
            ["_bucket", "_sum", "_count"].iter().any(|it| format!("{}{it}", metric.name) == name)
        }
        _ => metric.name == name,
    })
}

#[test]
fn every_metric_that_it_asks_for_is_exported_and_every_one_that_is_exported_is_asked_for() {
    let queries = all_queries();
    assert!(queries.len() > 9, "{queries:?}");
    let mut asked = BTreeSet::new();
    for query in &queries {
        let names: Vec<_> =
            words(query).filter(|(word, _)| word.starts_with("rateguard_")).collect();
        assert!(!names.is_empty(), "{query}");
        for (name, behind) in names {
            let metric = metric(name).unwrap_or_else(|| panic!("{name} does not exist: {query}"));
            asked.insert(metric.name);
            // What only grows is looked at by how fast it does.
            let grows = metric.kind != MetricKind::Gauge && !query.starts_with("label_values");
            let behind = behind.split_once('}').map_or(behind, |(_, behind)| behind);
            assert_eq!(behind.starts_with("[$__rate_interval]"), grows, "{query}");
        }
    }
    let all: BTreeSet<_> = metrics::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(asked, all);
}

#[test]
fn what_it_asks_for_is_in_the_text_that_is_exported() {
    names::of_all(|recorder: &Recorder| {
        let text = recorder.text();
        for query in all_queries() {
            for (name, _) in words(&query).filter(|(word, _)| word.starts_with("rateguard_")) {
                let is_there = text.lines().any(|line| {
                    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                });
                assert!(is_there, "{name}: {text}");
            }
        }
    });
}

#[test]
fn the_labels_that_it_asks_for_are_those_of_the_metrics() {
    for query in all_queries() {
        let known: Vec<_> = words(&query)
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
                assert!(known.contains(&label), "{query}");
                let values: &[&str] = match label {
                    "outcome" => &OUTCOMES,
                    "mode" => &MODES,
                    _ => continue,
                };
                assert!(value.split('|').all(|value| values.contains(&value)), "{query}");
            }
        }
        for by in query.split("by (").skip(1).filter_map(|rest| rest.split_once(')')) {
            assert!(by.0.split(", ").all(|label| known.contains(&label)), "{query}");
        }
    }
}

#[test]
fn its_panels_have_names_and_places_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    let mut covered = BTreeSet::new();
    for panel in panels {
        assert!(seen.insert(panel["id"].as_u64().unwrap()));
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(covered.insert(place), "{} lies on another", panel["title"]);
        }
    }
}
