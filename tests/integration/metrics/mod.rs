//! Tests the Prometheus metrics. The tests parse the text that the exporter returns.

mod bounds;
mod dashboard;
mod decisions;
mod errors;
mod gauges;
mod leases;
mod names;
mod permits;
mod redis;
mod requests;
mod shadow;
mod waits;

use std::collections::BTreeMap;

use actix_rateguard::metrics::{STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use prometheus_parse::{Sample, Scrape, Value};
use tokio::runtime;

/// A metrics recorder for one thread. It does not receive the metrics of tests that run on other threads at the same
/// time.
struct Recorder {
    handle: PrometheusHandle,
}

impl Recorder {
    /// Creates a recorder, and runs an action with it on this thread.
    fn record(action: impl AsyncFnOnce(&Self)) {
        let histogram = Matcher::Full(STORE_DURATION_SECONDS.to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(histogram, &STORE_DURATION_BUCKETS)
            .unwrap()
            .build_recorder();
        let this = Self { handle: recorder.handle() };
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // With a `LocalSet`, the tasks that actix-web spawns also run on this thread. Therefore they use this
        // recorder.
        let local = tokio::task::LocalSet::new();
        metrics::with_local_recorder(&recorder, || local.block_on(&runtime, action(&this)));
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

    /// Returns the number of decisions for each policy, quota, outcome and mode.
    fn decisions(&self) -> BTreeMap<[String; 4], u64> {
        let labels = ["policy", "quota", "outcome", "mode"];
        let parse = |sample: Sample| {
            let Value::Counter(count) = sample.value else { panic!("{sample:?}") };
            (labels.map(|label| sample.labels.get(label).unwrap().to_owned()), count as u64)
        };
        self.samples("rateguard_decisions_total").into_iter().map(parse).collect()
    }

    /// Returns the value of the gauge that has exactly these labels, or `None` if there is no such gauge.
    fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matches = |sample: &Sample| {
            sample.labels.len() == labels.len()
                && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let sample = self.samples(name).into_iter().find(matches)?;
        let Value::Gauge(value) = sample.value else { panic!("{sample:?}") };
        Some(value)
    }

    /// Returns the number of store errors for each cause.
    fn errors(&self) -> BTreeMap<String, u64> {
        let parse = |sample: Sample| {
            let Value::Counter(count) = sample.value else { panic!("{sample:?}") };
            (sample.labels.get("error").unwrap().to_owned(), count as u64)
        };
        self.samples("rateguard_store_errors_total").into_iter().map(parse).collect()
    }

    /// Returns how many durations of this store operation have been measured.
    fn measured(&self, operation: &str) -> u64 {
        let matches = |sample: &Sample| sample.labels.get("operation") == Some(operation);
        let sample = self.samples("rateguard_store_duration_seconds").into_iter().find(matches);
        let Some(Value::Histogram(buckets)) = sample.map(|sample| sample.value) else { return 0 };
        assert_eq!(buckets.len(), STORE_DURATION_BUCKETS.len() + 1);
        buckets.last().unwrap().count as u64
    }
}

/// Converts expected counts into the form that [`Recorder::decisions`] returns. The labels are written as
/// `policy|quota|outcome|mode`.
fn expected<const N: usize>(all: [(&str, u64); N]) -> BTreeMap<[String; 4], u64> {
    let labels = |text: &str| {
        let labels: Vec<_> = text.split('|').map(str::to_owned).collect();
        labels.try_into().unwrap()
    };
    all.into_iter().map(|(text, count)| (labels(text), count)).collect()
}
