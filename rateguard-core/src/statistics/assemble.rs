//! Combines the reports of processes and the history.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    counters::CounterRow,
    denied_keys::MAX_REPORTED,
    interval_clock::{INTERVAL, interval_of},
    policy_table::{HISTORY, OTHER},
    report::ProcessReport,
    values::{DeniedKey, GuardStatistics, OutcomeCounts, PolicyStatistics, StatisticsScope},
};
use crate::{StoreError, insert_only_table::MAX_ENTRIES};

/// The counts of each policy in each interval.
pub(crate) type History<'a> = Vec<(u64, Vec<(&'a str, CounterRow)>)>;

/// Combines the reports of processes and the history of the last hour.
pub(crate) fn assemble(
    scope: StatisticsScope,
    store_error: Option<StoreError>,
    now: Duration,
    has_readable_keys: bool,
    reports: &[ProcessReport],
    history: &History<'_>,
) -> GuardStatistics {
    let current_interval = interval_of(now);
    let first_interval = current_interval.saturating_sub(HISTORY - 1);
    let mut policies = Policies::default();
    for (interval, counts) in history {
        let Some(index) = interval.checked_sub(first_interval).filter(|it| *it < HISTORY) else {
            continue;
        };
        for (name, row) in counts {
            let counts = OutcomeCounts::from_row(row);
            let policy = policies.of(name);
            policy.totals.add(&counts);
            policy.history[index as usize].add(&counts);
        }
    }
    for report in reports {
        for it in &report.policies {
            let policy = policies.of(&it.name);
            policy.allowed_per_second += it.allowed_per_second;
            policy.denied_per_second += it.denied_per_second;
            policy.waiting = policy.waiting.saturating_add(it.waiting);
        }
    }
    let omitted = reports.iter().map(|it| it.omitted_policies).max();
    let mut processes: Vec<_> = reports.iter().map(|it| it.process.clone()).collect();
    processes.sort_by(|one, other| {
        other.is_this.cmp(&one.is_this).then(one.name.cmp(&other.name)).then(one.id.cmp(&other.id))
    });
    GuardStatistics {
        scope,
        store_error,
        now,
        interval: INTERVAL,
        first_interval,
        current_interval,
        has_readable_keys,
        omitted_policies: omitted.unwrap_or(0).max(policies.omitted.len()),
        processes,
        policies: policies.by_name.into_values().collect(),
        denied_keys: denied_keys(reports),
        denied_keys_since: reports.iter().map(|it| it.denied_keys_since).max().unwrap_or_default(),
    }
}

#[derive(Default)]
struct Policies<'a> {
    by_name: BTreeMap<&'a str, PolicyStatistics>,
    /// The names of the policies above the maximum number.
    omitted: BTreeSet<&'a str>,
}

impl<'a> Policies<'a> {
    /// Returns the entry of a policy. Above the maximum number of policies, returns that of the other policies.
    fn of(&mut self, name: &'a str) -> &mut PolicyStatistics {
        let is_full = self.by_name.len() >= MAX_ENTRIES && !self.by_name.contains_key(name);
        if is_full && name != OTHER {
            self.omitted.insert(name);
        }
        let name = if is_full { OTHER } else { name };
        self.by_name.entry(name).or_insert_with(|| PolicyStatistics {
            name: name.to_owned(),
            history: vec![OutcomeCounts::default(); HISTORY as usize],
            ..PolicyStatistics::default()
        })
    }
}

/// Returns the keys with the most denials in all processes.
fn denied_keys(reports: &[ProcessReport]) -> Vec<DeniedKey> {
    let mut merged: HashMap<(&str, &str), DeniedKey> = HashMap::new();
    for it in reports.iter().flat_map(|report| &report.denied_keys) {
        match merged.get_mut(&(&*it.policy, &*it.key_digest)) {
            None => _ = merged.insert((&it.policy, &it.key_digest), it.clone()),
            Some(merged) => {
                merged.denials = merged.denials.saturating_add(it.denials);
                merged.max_overcount = merged.max_overcount.saturating_add(it.max_overcount);
                merged.key = merged.key.take().or_else(|| it.key.clone());
            }
        }
    }
    let mut keys: Vec<_> = merged.into_values().collect();
    keys.sort_by(|one, other| {
        let order = |it: &DeniedKey| (it.key_digest.clone(), it.policy.clone());
        other.denials.cmp(&one.denials).then_with(|| order(one).cmp(&order(other)))
    });
    keys.truncate(MAX_REPORTED);
    keys
}
