//! What is told to the recorder of the `metrics` crate (feature `metrics`): who is limited by which limit, and why.
//!
//! Any recorder does. That of `metrics-exporter-prometheus` has to be told the buckets of the histogram, else it makes a
//! summary of it, which cannot be added up over servers:
//!
//! ```
//! use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
//! use rateguard::metrics::{STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS};
//!
//! let histogram = Matcher::Full(STORE_DURATION_SECONDS.to_owned());
//! let builder = PrometheusBuilder::new().set_buckets_for_metric(histogram, &STORE_DURATION_BUCKETS)?;
//! let recorder = builder.install_recorder()?;
//! // Where the metrics are asked for: guard.update_gauges(); recorder.render()
//! # Ok::<(), metrics_exporter_prometheus::BuildError>(())
//! ```
//!
//! # Labels
//!
//! | Label | Says |
//! |---|---|
//! | `policy` | the name of the policy whose quota decided |
//! | `quota` | that quota, written as in a policy: `5/minute`; `none` if nothing was decided |
//! | `outcome` | `allowed`; `denied`; `banned`, which is denied for earlier denials; `refused`, which is answered with 503 |
//! | `mode` | how it was decided: `store`, by the store; `overflow`, by the store in memory, where the key shared its count with others as it is full; `remembered`, by a denial that the guard remembers; `local`, by this process's share; `open` and `closed`, not at all, so that it passed or was refused; `shadow`, by a policy or a candidate that is tried, so that it refused nobody |
//! | `error` | the kind of [`StoreError`](crate::StoreError), in small letters |
//! | `operation` | what the store was asked: `check`, `peek`, `charge`, `refund`, `reset` |
//! | `store` | `memory`, the guard's store; `local`, what it decides by when the store does not answer |
//!
//! No label has anything of a key in it. Of policies and quotas no more than [`MAX_PAIRS`] pairs are told by a guard, those
//! that it knows first, and what is beyond them has `other` as both: quotas may be chosen for each request. Those of a
//! guard's own policies, of middlewares and of attributes are known before.
//!
//! # When
//!
//! A check is told when it has come to an end; one that is given up is not. What is only looked at, given back or charged
//! is none. A check of several policies is told once. The handles of the recorder are kept by the guard, so that telling costs
//! some nanoseconds; a recorder that is installed later than the guard was made is found, too, but does not know what was
//! before.

mod gauges;
mod kept;
mod names;
mod pairs;
mod telling;

pub(crate) use self::{gauges::State, pairs::hash, telling::Metrics};
pub use self::{
    names::{ALL, Metric, MetricKind, STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS},
    pairs::MAX_PAIRS,
};
