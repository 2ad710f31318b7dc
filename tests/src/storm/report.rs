//! The report on a storm, which is a test that injects random faults. The report has the figures of the storm, and
//! the reasons why the storm failed.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    time::Duration,
};

use super::{
    findings::{Findings, Violation},
    limits::LIMITS,
    load::ResponseStats,
    process_stats::{CONNECTIONS, ProcessStats},
    samples::Samples,
};
use crate::attack::load::Tally;

/// The maximum latency of a request while the machine has no stalls. It is fifty times the deadline of a check, so
/// that a storm does not fail because of a slow machine.
const MAX_LATENCY: Duration = Duration::from_secs(5);
/// The maximum time from the end of a fault until each server has received a reply from Redis.
const MAX_RECOVERY: Duration = Duration::from_secs(10);
/// The maximum growth of a server's memory in kilobytes. A server makes some allocations late and only once, so a
/// small growth does not prove a leak.
const MAX_GROWTH: u64 = 4 * 1024;
/// The maximum number of violations of each kind that are printed.
const MAX_PRINTED: usize = 3;

/// The results of a storm.
#[derive(Debug, Default)]
pub struct Report {
    /// The results of the judge.
    pub findings: Findings,
    /// The statistics of the responses to all clients.
    pub responses: ResponseStats,
    /// For each combination of faults: the times from the end of these faults until each server had received a reply
    /// from Redis.
    pub recoveries: BTreeMap<String, Vec<Duration>>,
    /// The faults after which a server did not recover within the maximum time.
    pub unrecovered: Vec<String>,
    /// The resources of each server that was not killed, measured early in the storm and at its end.
    pub process_stats: Vec<(ProcessStats, ProcessStats)>,
    /// The number of data losses, of failovers and of clock steps.
    pub events: (usize, usize, usize),
    /// The number of servers that were killed.
    pub kills: usize,
    /// The number of servers.
    pub servers: usize,
    /// The samples of Redis.
    pub samples: Samples,
    /// For each attack, the number of its requests with each outcome.
    pub attacks: Vec<Tally>,
    /// The number of stalls that the probes observed: first on a direct connection, and then through a proxy.
    pub stalls: (usize, usize),
    /// The total duration of the stalls that the probe with the direct connection observed.
    pub stall_time: Duration,
}

impl Report {
    /// Returns a message for each reason why the storm failed.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (violation, found) in &self.findings.violations {
            failures.push(format!("{violation:?}: {}", found.len()));
            failures.extend(found.iter().take(MAX_PRINTED).map(|found| format!("  {found}")));
        }
        let errors = &self.responses.errors;
        if !errors.is_empty() {
            failures.push(format!("requests without a response: {}", errors.len()));
            failures.extend(errors.iter().take(MAX_PRINTED).map(|error| format!("  {error}")));
        }
        for (status, count) in &self.responses.statuses {
            if ![200, 204, 429, 503].contains(status) {
                failures.push(format!("responses with status {status}: {count}"));
            }
        }
        let longest = self.responses.micros.iter().max().copied().unwrap_or(0);
        if Duration::from_micros(longest.into()) > MAX_LATENCY + self.stall_time {
            let stall_time = self.stall_time;
            failures.push(format!("a request took {longest} µs, with stalls of {stall_time:?}"));
        }
        for faults in &self.unrecovered {
            failures.push(format!("a server has no reply of Redis after {faults}"));
        }
        for (faults, times) in &self.recoveries {
            if let Some(time) = times.iter().find(|time| **time > MAX_RECOVERY) {
                failures.push(format!("after {faults} a server had no reply for {time:?}"));
            }
        }
        for (server, (early, late)) in self.process_stats.iter().enumerate() {
            let is_same = (early.threads, early.files) == (late.threads, late.files);
            let connections = [early.connections, late.connections];
            if !is_same
                || connections != [CONNECTIONS; 2]
                || late.memory > early.memory + MAX_GROWTH
            {
                failures
                    .push(format!("the resources of server {server} changed: {early:?} {late:?}"));
            }
        }
        failures
    }
}

fn quantile<T: Copy + Ord + Default>(sorted: &[T], part: f64) -> T {
    let index = (sorted.len().saturating_sub(1) as f64 * part) as usize;
    sorted.get(index).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { violations, requests, admitted, denied, unanswered, refunded, .. } =
            &self.findings;
        writeln!(
            f,
            "requests                 {requests} to {} servers, {} interrupted by {} kills, with status {:?}",
            self.servers, self.responses.interrupted, self.kills, self.responses.statuses
        )?;
        let mut micros = self.responses.micros.clone();
        micros.sort_unstable();
        let [median, p99, longest] =
            [0.5, 0.99, 1.0].map(|part| Duration::from_micros(quantile(&micros, part).into()));
        writeln!(
            f,
            "  latency                median {median:.1?}, p99 {p99:.1?}, maximum {longest:.1?}"
        )?;
        writeln!(
            f,
            "checks by Redis          {admitted} admitted, {denied} denied, {unanswered} without reply, {refunded} refunded"
        )?;
        let durations = &self.findings.unanswered_durations;
        let [median, p99, longest] =
            [0.5, 0.99, 1.0].map(|part| Duration::from_micros(quantile(durations, part)));
        writeln!(
            f,
            "  without reply          median {median:.1?}, p99 {p99:.1?}, maximum {longest:.1?}"
        )?;
        for (outcome, count) in &self.findings.outcomes {
            writeln!(f, "requests {outcome:<24} {count}")?;
        }
        for violation in Violation::ALL {
            let count = violations.get(&violation).map_or(0, Vec::len);
            writeln!(f, "violations {:<14} {count}", format!("{violation:?}"))?;
        }
        for Tally { sent, passed, denied, unavailable, lasted, .. } in &self.attacks {
            writeln!(
                f,
                "attack of {lasted:.1?}           {sent} requests: {passed} passed, {denied} denied, {unavailable} unavailable"
            )?;
        }
        let ((direct, proxied), stall_time) = (self.stalls, self.stall_time);
        writeln!(f, "stalls of the machine    {direct} of {stall_time:.1?}, {proxied} proxied")?;
        writeln!(
            f,
            "denials that only calls without reply explain: {}",
            self.findings.undecidable
        )?;
        let held = &self.findings.held;
        let (most, limit) = held.most;
        writeln!(
            f,
            "requests with permits    {}, of which {} kept one for ten leases and {} lost it to a fault; at most {most} of {limit} at once",
            held.requests, held.long, held.excused
        )?;
        writeln!(f, "samples of Redis         {}", self.samples.count)?;
        for ((policy, quota_index), most) in &self.samples.most {
            let (name, rates) = LIMITS[*policy];
            let rate = rates.split(';').nth(*quota_index).unwrap_or(rates).trim();
            writeln!(f, "  {name:<22} at most {most} of `{rate}`")?;
        }
        let ((losses, failovers, steps), (sum, max)) =
            (self.events, self.findings.excess_after_losses);
        writeln!(
            f,
            "{losses} data losses, {failovers} failovers, {steps} clock steps: {sum} units of logs above the limit, at most {max} for one key and loss"
        )?;
        let mut table = String::new();
        let mut all = Vec::new();
        for (faults, times) in &self.recoveries {
            let mut times = times.clone();
            all.extend(times.iter().copied());
            write_times(&mut table, faults, &mut times)?;
        }
        write_times(&mut table, "all", &mut all)?;
        write!(f, "recovery of all servers after\n{table}")?;
        if !self.process_stats.is_empty() {
            writeln!(f, "server       memory kB          threads        files     connections")?;
        }
        for (server, (early, late)) in self.process_stats.iter().enumerate() {
            writeln!(
                f,
                "{server:<6} {:>9} {:>9} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
                early.memory,
                late.memory,
                early.threads,
                late.threads,
                early.files,
                late.files,
                early.connections,
                late.connections
            )?;
        }
        Ok(())
    }
}

fn write_times(table: &mut String, faults: &str, times: &mut [Duration]) -> fmt::Result {
    times.sort_unstable();
    let [median, longest] = [0.5, 1.0].map(|part| quantile(times, part));
    let count = times.len();
    writeln!(
        table,
        "  {faults:<24} {count:>4} times  median {median:>9.1?}  maximum {longest:>9.1?}"
    )
}
