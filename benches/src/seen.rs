//! Somebody who is told of checks.

use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_core::Interest;

use crate::Outcome;

/// A recorder for this process, that of Prometheus.
///
/// # Errors
///
/// If there is one.
pub fn record() -> Outcome {
    PrometheusBuilder::new().install_recorder()?;
    Ok(())
}

/// A subscriber for this process.
///
/// # Errors
///
/// If there is one.
pub fn subscribe(taking: Taking) -> Outcome {
    Ok(tracing::subscriber::set_global_default(taking)?)
}

/// What a subscriber takes of spans.
#[derive(Clone, Copy, Debug)]
pub enum Taking {
    /// It says each time that it does not want it, as a filter does that looks at more than level and target.
    None,
    /// It takes all, and keeps nothing.
    All,
}

impl Subscriber for Taking {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        matches!(self, Self::All)
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
