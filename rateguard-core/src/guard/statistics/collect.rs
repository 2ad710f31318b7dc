//! Collects the statistics of this process.

use std::time::Duration;

use crate::{
    GuardStatistics, StatisticsScope, StoreError,
    guard::{RateGuard, Shared},
    statistics::{
        Fallback, HISTORY, History, INTERVAL, PolicyReport, ProcessReport, ProcessStatistics,
        Recording, StoreStatistics, assemble,
    },
};

impl RateGuard {
    /// Returns the statistics of this process alone.
    pub(super) fn process_statistics(
        &self,
        recording: &Recording,
        store_error: Option<StoreError>,
    ) -> GuardStatistics {
        let unix_time = recording.unix_time(self.monotonic_time());
        let current = unix_time.as_secs() / INTERVAL.as_secs();
        let series: Vec<_> = recording.series().collect();
        let history: History<'_> = (current.saturating_sub(HISTORY - 1)..=current)
            .map(|interval| {
                let counts = series.iter();
                let counts = counts.filter_map(|it| Some((it.name(), it.counts(interval)?)));
                (interval, counts.collect())
            })
            .collect();
        let reports = [self.process_report(recording)];
        let readable = recording.has_readable_keys();
        let scope = StatisticsScope::Process;
        assemble(scope, store_error, unix_time, readable, &reports, &history)
    }

    /// Returns the report of this process.
    pub(super) fn process_report(&self, recording: &Recording) -> ProcessReport {
        let now = self.monotonic_time();
        let (denied_keys, denied_keys_since) = recording.denied_keys(now);
        ProcessReport {
            process: self.process_state(recording, now),
            policies: self.policy_reports(recording, now),
            omitted_policies: recording.omitted_policies(),
            denied_keys,
            denied_keys_since,
        }
    }

    fn policy_reports(&self, recording: &Recording, now: Duration) -> Vec<PolicyReport> {
        let unix_time = recording.unix_time(now);
        let mut waiting = self.shared.wait_queues.len_by_policy();
        let reports = recording.series().map(|series| {
            let [allowed_per_second, denied_per_second] = series.rates(unix_time);
            let waiting = waiting.remove(series.name()).unwrap_or(0);
            let name = series.name().to_owned();
            PolicyReport { name, allowed_per_second, denied_per_second, waiting }
        });
        let mut reports: Vec<_> = reports.collect();
        // These policies have not decided a check yet.
        let waiting = waiting.into_iter().take(MAX_WAITING_POLICIES);
        reports.extend(waiting.map(|(name, waiting)| PolicyReport {
            name,
            waiting,
            ..Default::default()
        }));
        reports
    }

    fn process_state(&self, recording: &Recording, now: Duration) -> ProcessStatistics {
        let Shared { servers, in_flight, permits, wait_queues, denial_cache, leases, .. } =
            &*self.shared;
        let (health, latency) = (self.health(), recording.latency(now));
        let is_down = servers.used().any(|server| server.down_for().is_some());
        ProcessStatistics {
            id: recording.id.clone(),
            name: recording.settings.process_name.clone(),
            is_this: true,
            uptime: recording.uptime(now),
            report_age: Duration::ZERO,
            store: StoreStatistics {
                kind: recording.store_kind.to_owned(),
                is_good: health.is_good(),
                cause: health.cause().map(|cause| cause.as_str().to_owned()),
                cause_text: health.cause().map(|cause| cause.to_string()),
                down_for: health.down_for(),
                is_breaker_open: self.has_open_breaker(),
                calls_per_second: latency.calls_per_second,
                p50: latency.p50,
                p99: latency.p99,
            },
            fallback: if is_down { recording.last_fallback() } else { Fallback::None },
            unanswered: self.failures(),
            checks_in_flight: in_flight.count() as u64,
            permits_held: permits.held() as u64,
            permits_waiting: permits.waiting() as u64,
            requests_waiting: wait_queues.len() as u64,
            cached_denials: denial_cache.len() as u64,
            leased_units: leases.unused_units() as u64,
        }
    }
}

/// The maximum number of policies that are only reported because requests wait for them.
const MAX_WAITING_POLICIES: usize = 20;
