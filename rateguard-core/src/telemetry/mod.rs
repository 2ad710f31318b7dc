//! Metrics (feature `metrics`) and traces (feature `tracing`) about checks.

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) mod labels;
#[cfg(feature = "metrics")]
pub mod metrics;
pub(crate) mod mode;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
