//! A metrics recorder and a tracing subscriber for the measurement of telemetry.

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_core::Interest;

use crate::BenchResult;

/// Installs the Prometheus recorder for this process.
///
/// # Errors
///
/// If there already is a recorder.
pub fn install_recorder() -> BenchResult {
    PrometheusBuilder::new().install_recorder()?;
    Ok(())
}

/// Installs a subscriber for this process.
///
/// # Errors
///
/// If there already is a subscriber.
pub fn install_subscriber(filter: SpanFilter) -> BenchResult {
    Ok(tracing::subscriber::set_global_default(filter)?)
}

/// A subscriber that records nothing.
#[derive(Clone, Copy, Debug)]
pub enum SpanFilter {
    /// Rejects each span when it is created, like a filter that depends on more than level and target.
    RejectAll,
    /// Accepts all spans.
    AcceptAll,
}

impl Subscriber for SpanFilter {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        matches!(self, Self::AcceptAll)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
