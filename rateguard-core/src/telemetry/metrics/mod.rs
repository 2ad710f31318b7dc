//! Reports metrics about checks (feature `metrics`), such as the number of requests that each limit denied. The
//! crate `metrics` receives the values.
//!
//! Any recorder for that crate works. For `metrics-exporter-prometheus`, set the buckets of the histogram, as in the
//! next example. Without buckets, the exporter writes a summary, and summaries of several application servers cannot be
//! added.
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
//! | `policy` | the name of the policy whose quota admitted or denied the request |
//! | `quota` | the quota that admitted or denied the request, such as `5/minute`, or `none` if there was no decision |
//! | `outcome` | the result of the check: `allowed`, `denied`, `banned` or `rejected`, see below |
//! | `mode` | the component that made the decision, see below |
//! | `error` | the variant of [`StoreError`](crate::StoreError) in snake case |
//! | `operation` | the operation that the store executed: `check`, `peek`, `debit`, `refund`, `renew`, `reset` |
//! | `store` | the component that stores the counted keys: `memory` is the in-memory store, `local` is the memory in which this process decides while the store does not answer |
//!
//! | `outcome` | The request was … |
//! |---|---|
//! | `allowed` | admitted, or passed without a decision |
//! | `denied` | denied, because a quota had no room |
//! | `banned` | denied, because the key is banned |
//! | `rejected` | rejected without a decision |
//!
//! | `mode` | The decision was made by … |
//! |---|---|
//! | `store` | the store |
//! | `overflow` | the in-memory store, for a key that shared its count with other keys because the store was full |
//! | `cached_denial` | the denial cache of the guard |
//! | `local` | this process in memory, with its share of the limit, while the store did not answer |
//! | `open` | no component, because the store did not answer. The request passed |
//! | `closed` | no component, because the store did not answer. The request was rejected |
//! | `shadow` | a policy in shadow mode, or candidate quotas that are not enforced for the key. No request was denied |
//!
//! No label contains a part of a key. A program can choose a quota for each request, so the number of quotas has no
//! maximum. Therefore a guard reports only the first [`MAX_PAIRS`] pairs of a policy and a quota. For all further
//! pairs, the labels `policy` and `quota` have the value `other`. Two kinds of policies are registered before the first
//! request, so that their pairs are among the first: the policies of the guard, and the limits of an HTTP adapter whose
//! quotas are the same for all requests.
//!
//! # When checks are counted
//!
//! A check is counted when it ends. A check whose future is dropped is not counted. Peeks, refunds and debits are not
//! checks. A check of several policies counts as one check. In addition, each of its shadow checks counts as one check.
//!
//! The guard stores the handles that the recorder returns, so it can record a value in a few nanoseconds. You can
//! install a recorder after you have built the guard. The recorder then gets only the later values.

mod gauges;
mod label_values;
mod lazy_handle;
mod names;
mod recorder;
mod series;

pub(crate) use self::{gauges::GaugeValues, recorder::Metrics};
pub use self::{
    names::{ALL, Metric, MetricKind, STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS},
    series::MAX_PAIRS,
};
