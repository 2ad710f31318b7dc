//! What a storm has shown, in words and tables.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    time::Duration,
};

use super::{
    load::Answers,
    verdict::{Verdict, Violation},
    vitals::Vitals,
};
use crate::attack::load::Tally;

/// No request took longer, stalls of the machine apart: fifty deadlines, for slow machines.
const LONGEST: Duration = Duration::from_secs(5);
/// After no fault was any server without answers for longer.
const LONGEST_RECOVERY: Duration = Duration::from_secs(10);
/// So many kilobytes a process may have grown by; what it allocates once, late, is within that.
const GROWTH: u64 = 4 * 1024;
/// Of what was found, so many are shown of each kind.
const SHOWN: usize = 3;

/// All of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Of the histories.
    pub verdict: Verdict,
    /// Of the clients.
    pub answers: Answers,
    /// By the faults of a step, when each server had answers again.
    pub recoveries: BTreeMap<String, Vec<Duration>>,
    /// After which faults a server had none for too long.
    pub lost: Vec<String>,
    /// What each server held early and at the end.
    pub vitals: Vec<(Vitals, Vitals)>,
    /// How often data was lost, and the clock set.
    pub happened: (usize, usize),
    /// Of each attack, what the attacker counted.
    pub attacks: Vec<Tally>,
    /// How often Redis was silent because the machine had no processor for it, as seen directly and through a proxy.
    pub stalls: (usize, usize),
    /// How long the direct ones lasted, all together.
    pub stalled: Duration,
}

impl Report {
    /// What must not be.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (violation, found) in &self.verdict.found {
            complaints.push(format!("{violation:?}: {}", found.len()));
            complaints.extend(found.iter().take(SHOWN).map(|found| format!("  {found}")));
        }
        let broken = &self.answers.broken;
        if !broken.is_empty() {
            complaints.push(format!("requests without an answer: {}", broken.len()));
            complaints.extend(broken.iter().take(SHOWN).map(|broken| format!("  {broken}")));
        }
        for (status, count) in &self.answers.statuses {
            if ![200, 204, 429, 503].contains(status) {
                complaints.push(format!("answers with status {status}: {count}"));
            }
        }
        let longest = self.answers.took.iter().max().copied().unwrap_or(0);
        if Duration::from_micros(longest.into()) > LONGEST + self.stalled {
            let stalled = self.stalled;
            complaints.push(format!("a request took {longest} µs, with stalls of {stalled:?}"));
        }
        for faults in &self.lost {
            complaints.push(format!("a server had no answers again after {faults}"));
        }
        for (faults, times) in &self.recoveries {
            if let Some(time) = times.iter().find(|time| **time > LONGEST_RECOVERY) {
                complaints.push(format!("after {faults} a server had no answers for {time:?}"));
            }
        }
        for (server, (early, late)) in self.vitals.iter().enumerate() {
            let is_same = (early.threads, early.files) == (late.threads, late.files);
            let connections = [early.connections, late.connections];
            if !is_same || connections != [1, 1] || late.memory > early.memory + GROWTH {
                complaints.push(format!("server {server} holds more, or less: {early:?} {late:?}"));
            }
        }
        complaints
    }
}

fn quantile<T: Copy + Ord + Default>(sorted: &[T], part: f64) -> T {
    let place = (sorted.len().saturating_sub(1) as f64 * part) as usize;
    sorted.get(place).copied().unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { found, requests, admitted, denied, unanswered, given_back, .. } =
            &self.verdict;
        writeln!(
            f,
            "requests                 {requests}, with status {:?}",
            self.answers.statuses
        )?;
        let mut took = self.answers.took.clone();
        took.sort_unstable();
        let [median, p99, longest] =
            [0.5, 0.99, 1.0].map(|part| Duration::from_micros(quantile(&took, part).into()));
        writeln!(
            f,
            "  took                   median {median:.1?}, 99 of 100 {p99:.1?}, longest {longest:.1?}"
        )?;
        writeln!(
            f,
            "checks by Redis          {admitted} admitted, {denied} denied, {unanswered} unanswered, {given_back} given back"
        )?;
        let [median, p99, longest] =
            [0.5, 0.99, 1.0].map(|part| Duration::from_micros(quantile(&self.verdict.waits, part)));
        writeln!(
            f,
            "  the unanswered took    median {median:.1?}, 99 of 100 {p99:.1?}, longest {longest:.1?}"
        )?;
        for (outcome, count) in &self.verdict.outcomes {
            writeln!(f, "requests {outcome:<24} {count}")?;
        }
        for violation in Violation::ALL {
            let count = found.get(&violation).map_or(0, Vec::len);
            writeln!(f, "found {:<18} {count}", format!("{violation:?}"))?;
        }
        for Tally { sent, passed, denied, unavailable, lasted, .. } in &self.attacks {
            writeln!(
                f,
                "attack of {lasted:.1?}           {sent} requests: {passed} passed, {denied} denied, {unavailable} unavailable"
            )?;
        }
        let ((direct, proxied), stalled) = (self.stalls, self.stalled);
        writeln!(f, "stalls of the machine    {direct} of {stalled:.1?}, {proxied} proxied")?;
        writeln!(f, "denials that what was unanswered may explain: {}", self.verdict.undecidable)?;
        let ((losses, settings), (all, most)) = (self.happened, self.verdict.by_losses);
        writeln!(
            f,
            "{losses} losses of data, {settings} settings of the clock: {all} units of logs beyond the limit, of one key and \
             time at most {most}"
        )?;
        let mut table = String::new();
        let mut all = Vec::new();
        for (faults, times) in &self.recoveries {
            let mut times = times.clone();
            all.extend(times.iter().copied());
            write_times(&mut table, faults, &mut times)?;
        }
        write_times(&mut table, "all", &mut all)?;
        write!(f, "decisions by Redis again, of all four servers, after\n{table}")?;
        if !self.vitals.is_empty() {
            writeln!(f, "server       memory kB          threads        files     connections")?;
        }
        for (server, (early, late)) in self.vitals.iter().enumerate() {
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
        "  {faults:<24} {count:>4} times  median {median:>9.1?}  longest {longest:>9.1?}"
    )
}
