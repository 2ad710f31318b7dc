//! Metrics about checks for the recorder of the `metrics` crate (feature `metrics`): which limit denied requests, and
//! how it decided.
//!
//! Any recorder works. Give the recorder of `metrics-exporter-prometheus` the buckets of the histogram; without buckets
//! it exports a summary, and the summaries of several servers cannot be added:
//!
//! ```
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use actix_rateguard_core::metrics::{STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS};
//!
//! let histogram = Matcher::Full(STORE_DURATION_SECONDS.to_owned());
//! let builder = PrometheusBuilder::new().set_buckets_for_metric(histogram, &STORE_DURATION_BUCKETS)?;
//! let recorder = builder.install_recorder()?;
//! // Where the metrics are exported: guard.update_gauges(); recorder.render()
//! # Ok::<(), metrics_exporter_prometheus::BuildError>(())
//! ```
//!
//! # Labels
//!
//! | Label | Value |
//! |---|---|
//! | `policy` | the name of the policy whose quota decided |
//! | `quota` | that quota, in the notation of a policy: `5/minute`; `none` if there was no decision |
//! | `outcome` | `allowed`, `denied`, `banned` or `rejected`, see below |
//! | `mode` | the component that decided, see below |
//! | `error` | the variant of [`StoreError`](crate::StoreError) in snake case |
//! | `operation` | the operation of the store call: `check`, `peek`, `debit`, `refund`, `reset` |
//! | `store` | `memory`: the guard's store; `local`: the counts for decisions while the store does not answer |
//!
//! | `outcome` | The request was |
//! |---|---|
//! | `allowed` | admitted, or passed without a decision |
//! | `denied` | denied, because a quota had no room |
//! | `banned` | denied, because the key is banned |
//! | `rejected` | rejected without a decision |
//!
//! | `mode` | The decision was made by |
//! |---|---|
//! | `store` | the store |
//! | `overflow` | the in-memory store, which is full, so the key shared its count with other keys |
//! | `cached_denial` | the denial cache of the guard |
//! | `local` | this process in memory, with its share of the limit, while the store did not answer |
//! | `open` | nothing; the request passed |
//! | `closed` | nothing; the request was rejected |
//! | `shadow` | a policy in shadow, or the quotas of a rollout that are not enforced for the key; it denied no request |
//!
//! No label contains a part of a key. Quotas may be chosen for each request, so a guard reports at most [`MAX_PAIRS`]
//! pairs of policy and quota, those that it used first. All further pairs are reported with the value `other` for both
//! labels. The policies of the guard and the fixed policies of an HTTP adapter are registered before the first request.
//!
//! # When checks are counted
//!
//! A check is counted when it ends; a check whose future is dropped is not counted. Peeks, refunds and debits are not
//! checks. A check of several policies is counted once, and each of its shadow checks once more.
//!
//! The guard stores the handles of the recorder, so recording a value takes some nanoseconds. A recorder may be
//! installed after the guard was built; it then gets the values from that moment on.

mod gauges;
mod hash;
mod lazy_handle;
mod names;
mod recorder;
mod series;

pub(crate) use self::{gauges::GaugeValues, hash::hash, recorder::Metrics};
pub use self::{
    names::{ALL, Metric, MetricKind, STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS},
    series::MAX_PAIRS,
};
