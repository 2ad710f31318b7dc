//! Reports metrics (feature `metrics`) and traces (feature `tracing`) about checks. If a feature is disabled, a
//! zero-sized type with the same methods replaces the real type, so that callers do not depend on features.

#[cfg(any(feature = "metrics", feature = "tracing", feature = "statistics"))]
pub(crate) mod futures;
#[cfg(not(any(feature = "metrics", feature = "tracing", feature = "statistics")))]
#[path = "futures_noop.rs"]
pub(crate) mod futures;
#[cfg(any(feature = "metrics", feature = "tracing"))]
mod labels;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics_noop.rs"]
pub(crate) mod metrics;
pub(crate) mod mode;
pub(crate) mod outcome;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
#[cfg(not(feature = "tracing"))]
#[path = "spans_noop.rs"]
pub(crate) mod spans;
