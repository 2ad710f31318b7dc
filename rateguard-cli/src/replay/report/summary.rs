//! The results of a replay, which all reports show.

use std::collections::BTreeMap;

use actix_rateguard_core::Quota;

use crate::replay::{
    limit::{LimitPolicy, NotReplayed},
    simulation::{PolicyCounts, PolicyReplay, Simulation},
    usage::{Peaks, Slot},
};

/// The shares of keys for which the reports name the lowest limit, in keys of 1,000 keys.
pub(crate) const HURT_PER_MILLE: [usize; 3] = [0, 1, 10];

/// The percentiles of the use, in percent of the keys. 100 is the maximum.
pub(crate) const PERCENTILES: [(&str, usize); 4] =
    [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)];

pub(crate) struct Summary {
    pub(crate) log: LogSummary,
    pub(crate) requests: u64,
    /// The number of requests that at least one policy denies.
    pub(crate) denied: u64,
    /// The times of the first and of the last request, in microseconds since 1970.
    pub(crate) times: Option<(u64, u64)>,
    pub(crate) policies: Vec<PolicySummary>,
    pub(crate) not_replayed: Vec<NotReplayed>,
}

/// The lines that the replay has read.
#[derive(Default)]
pub(crate) struct LogSummary {
    pub(crate) formats: Vec<&'static str>,
    pub(crate) lines: u64,
    pub(crate) skipped: u64,
    /// The first skipped lines.
    pub(crate) skipped_lines: Vec<SkippedLine>,
    pub(crate) out_of_order: u64,
    /// The number of out-of-order requests that count later than at their own time.
    pub(crate) late: u64,
    /// Whether a request counts at its start, and not at the time of its line.
    pub(crate) counts_at_start: bool,
    pub(crate) seconds: f64,
    pub(crate) lines_per_second: f64,
    pub(crate) warnings: Vec<String>,
}

/// A line that is not a request.
pub(crate) struct SkippedLine {
    pub(crate) file: String,
    pub(crate) number: u64,
    pub(crate) reason: String,
    /// The start of the line, without control characters.
    pub(crate) text: String,
}

pub(crate) struct PolicySummary {
    pub(crate) limit: LimitPolicy,
    pub(crate) counts: PolicyCounts,
    pub(crate) quotas: Vec<QuotaSummary>,
    pub(crate) keys: u64,
    pub(crate) keys_denied: u64,
    pub(crate) top_denied: Vec<DeniedKey>,
    /// The length of a slot in seconds, and the slots by their start in seconds since 1970.
    pub(crate) timeline: (u64, BTreeMap<u64, Slot>),
}

pub(crate) struct QuotaSummary {
    pub(crate) quota: Quota,
    /// The number of requests that the quota denied.
    pub(crate) denied: u64,
    pub(crate) peaks: Peaks,
}

pub(crate) struct DeniedKey {
    pub(crate) key: String,
    pub(crate) requests: u64,
    pub(crate) denied: u64,
    /// The times of the first and of the last denial, in microseconds since 1970.
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Summary {
    /// Summarizes a replay. `top` is the maximum number of denied keys for each policy.
    pub(crate) fn new(mut simulation: Simulation, log: LogSummary, top: usize) -> Self {
        simulation.finish();
        Self {
            log,
            requests: simulation.requests,
            denied: simulation.denied,
            times: simulation.times,
            policies: simulation
                .policies
                .into_iter()
                .map(|it| PolicySummary::new(it, top))
                .collect(),
            not_replayed: simulation.not_replayed,
        }
    }
}

impl PolicySummary {
    fn new(replay: PolicyReplay, top: usize) -> Self {
        let quotas = replay.quotas.iter().zip(&replay.denied_by).enumerate().map(
            |(index, (quota, denied))| {
                let uses = replay.keys.entries().filter_map(|entry| entry.uses.get(index));
                let peaks = Peaks::new(uses.map(|it| (it.peak(), it.is_upper_bound())));
                QuotaSummary { quota: *quota, denied: *denied, peaks }
            },
        );
        let top_denied = replay.keys.top_denied(top).into_iter().map(|entry| DeniedKey {
            key: entry.text.as_deref().unwrap_or_default().to_owned(),
            requests: entry.requests,
            denied: entry.denied,
            first: entry.first_denied,
            last: entry.last_denied,
        });
        Self {
            quotas: quotas.collect(),
            keys: replay.keys.len() as u64,
            keys_denied: replay.keys.entries().filter(|it| it.denied > 0).count() as u64,
            top_denied: top_denied.collect(),
            timeline: replay.timeline.slots(),
            counts: replay.counts,
            limit: replay.limit,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.limit.policy.name()
    }
}

impl QuotaSummary {
    /// Returns the number of keys whose highest use in a window is above the limit of the quota.
    pub(crate) fn keys_above_limit(&self) -> u64 {
        self.peaks.exceeding(self.quota.limit().into())
    }
}
