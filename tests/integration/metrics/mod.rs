//! What Prometheus is told: who is limited by which limit, and why. The exporter's own text, read by a parser.

mod bounds;
mod dashboard;
mod decisions;
mod errors;
mod gauges;
mod names;
mod redis;
mod requests;

use std::collections::BTreeMap;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use prometheus_parse::{Sample, Scrape, Value};
use rateguard::metrics::{STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS};
use tokio::runtime;

/// A recorder for this thread alone, as other tests count at the same time.
struct Recorder {
    handle: PrometheusHandle,
}

impl Recorder {
    /// Does this on this thread, and hears of it.
    fn hear(act: impl AsyncFnOnce(&Self)) {
        let histogram = Matcher::Full(STORE_DURATION_SECONDS.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(histogram, &STORE_DURATION_BUCKETS)
            .unwrap()
            .build_recorder();
        let this = Self { handle: recorder.handle() };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // What actix-web spawns stays on this thread, too.
        let local = tokio::task::LocalSet::new();
        metrics::with_local_recorder(&recorder, || local.block_on(&runtime, act(&this)));
    }

    fn text(&self) -> String {
        self.handle.render()
    }

    fn scrape(&self) -> Scrape {
        Scrape::parse(self.text().lines().map(|line| Ok(line.to_owned()))).unwrap()
    }

    fn samples(&self, name: &str) -> Vec<Sample> {
        self.scrape().samples.into_iter().filter(|sample| sample.metric == name).collect()
    }

    /// How often was decided, by policy, quota, outcome and mode.
    fn decisions(&self) -> BTreeMap<[String; 4], u64> {
        let labels = ["policy", "quota", "outcome", "mode"];
        let of = |sample: Sample| {
            let Value::Counter(count) = sample.value else { panic!("{sample:?}") };
            (labels.map(|label| sample.labels.get(label).unwrap().to_owned()), count as u64)
        };
        self.samples("rateguard_decisions_total").into_iter().map(of).collect()
    }

    /// A gauge with these labels, if there is one.
    fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |sample: &Sample| {
            sample.labels.len() == labels.len()
                && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let sample = self.samples(name).into_iter().find(is_it)?;
        let Value::Gauge(value) = sample.value else { panic!("{sample:?}") };
        Some(value)
    }

    /// What the store left unanswered, by the reason.
    fn errors(&self) -> BTreeMap<String, u64> {
        let of = |sample: Sample| {
            let Value::Counter(count) = sample.value else { panic!("{sample:?}") };
            (sample.labels.get("error").unwrap().to_owned(), count as u64)
        };
        self.samples("rateguard_store_errors_total").into_iter().map(of).collect()
    }

    /// How often was measured how long an operation of the store takes.
    fn measured(&self, operation: &str) -> u64 {
        let is_it = |sample: &Sample| sample.labels.get("operation") == Some(operation);
        let sample = self.samples("rateguard_store_duration_seconds").into_iter().find(is_it);
        let Some(Value::Histogram(buckets)) = sample.map(|sample| sample.value) else { return 0 };
        assert_eq!(buckets.len(), STORE_DURATION_BUCKETS.len() + 1);
        buckets.last().unwrap().count as u64
    }
}

/// What [`Recorder::decisions`] is compared with: each as `policy|quota|outcome|mode`.
fn expected<const N: usize>(all: [(&str, u64); N]) -> BTreeMap<[String; 4], u64> {
    let labels = |text: &str| {
        let labels: Vec<_> = text.split('|').map(str::to_owned).collect();
        labels.try_into().unwrap()
    };
    all.into_iter().map(|(text, count)| (labels(text), count)).collect()
}
