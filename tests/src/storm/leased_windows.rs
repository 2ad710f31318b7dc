//! Checks that no window has more admissions than the limit if leases admit requests. The time of an admission by a
//! lease is only known as a period: from the arrival of the request to its response.

use std::collections::BTreeMap;

use actix_rateguard::{Algorithm, Quota, store::Operation};

use super::{
    evidence::{History, StoreEvents},
    history::{DecisionSource, Request},
    limits::{LIMITS, PAGES, policy_index, quota},
};

/// Units that were admitted at some time between `from` and `until`, in microseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Admission {
    from: u64,
    until: u64,
    units: u64,
    is_leased: bool,
}

/// The events that permit more than the limit.
struct Exceptions<'a> {
    events: &'a StoreEvents,
    /// The times at which the store forgot units, including failovers.
    starts: Vec<u64>,
    /// The duration of a lease in microseconds. Units of open leases are used for this time after the store forgot
    /// them.
    lease: u64,
}

impl Exceptions<'_> {
    /// Returns the number of times that the store forgot units of a window from `from` to `until`. Each time permits the
    /// whole limit once more.
    fn additional_limits(&self, from: u64, until: u64) -> u64 {
        let may_affect = |start: &&u64| **start + self.lease > from && **start < until;
        self.starts.iter().filter(may_affect).count() as u64
    }

    /// Returns the epoch of the admission, which is the number of data losses and forward clock steps before it. `None`
    /// if one of them was during the admission, so that the epoch is unknown, or if a failover may have lost the units.
    fn epoch(&self, admission: &Admission) -> Option<usize> {
        let lease = if admission.is_leased { self.lease } else { 0 };
        let (from, until) = (admission.from.saturating_sub(lease), admission.until);
        let is_lost = |(lost, killed): &(u64, u64)| from <= *killed && until >= *lost;
        let starts = self.events.epoch_starts();
        let epoch = |at: u64| starts.partition_point(|start| *start <= at);
        let is_known = epoch(from) == epoch(until) && !self.events.failovers.iter().any(is_lost);
        is_known.then(|| epoch(until))
    }
}

/// Returns a message for each limit with a lease that admitted more than its limit in one window.
#[must_use]
pub fn leased_excess(histories: &[History], events: &StoreEvents) -> Vec<String> {
    let mut found = Vec::new();
    for (policy, (name, _)) in LIMITS.iter().enumerate() {
        let Some(quota) = quota(policy, 0) else { continue };
        let Some(lease) = quota.lease() else { continue };
        let lease = lease.duration().as_micros() as u64;
        let starts = events.epoch_starts_and_failovers();
        let exceptions = Exceptions { events, starts, lease };
        for (client, admissions) in admissions(histories, policy) {
            let excess = match quota.algorithm() {
                Algorithm::SlidingWindow => log_excess(quota, admissions, &exceptions),
                // A new algorithm with leases needs an arm here.
                algorithm => Some(format!("the judge has no rule for leases of {algorithm:?}")),
            };
            if let Some(excess) = excess {
                found.push(format!("{name}, {quota}, of {client}: {excess}"));
            }
        }
    }
    found
}

/// Returns the largest excess of a sliding window. Only admissions that certainly took place in the window are counted.
fn log_excess(
    quota: Quota,
    mut admissions: Vec<Admission>,
    exceptions: &Exceptions<'_>,
) -> Option<String> {
    let (window, limit) = (quota.window().as_micros() as u64, u64::from(quota.limit()));
    admissions.sort_unstable_by_key(|admission| admission.from);
    let epochs: Vec<_> = admissions.iter().map(|it| exceptions.epoch(it)).collect();
    let excesses = (0..admissions.len()).filter_map(|first| {
        // The first admission took place at `start` or later, so the window can begin there.
        let start = admissions[first].from;
        let end = start + window;
        let within = admissions[first..].iter().zip(&epochs[first..]);
        let within = within.take_while(|(it, _)| it.from < end).filter(|(it, _)| it.until < end);
        let (mut all, mut of_epoch) = (0, BTreeMap::new());
        for (admission, epoch) in within {
            all += admission.units;
            if let Some(epoch) = epoch {
                *of_epoch.entry(epoch).or_insert(0) += admission.units;
            }
        }
        let allowed = limit * (1 + exceptions.additional_limits(start, end));
        let of_one = of_epoch.into_values().max().unwrap_or(0);
        let excess = all.saturating_sub(allowed).max(of_one.saturating_sub(limit));
        let details =
            || format!("{all} units from {start} to {end}, {of_one} in one state of the store");
        (excess > 0).then(|| (excess, details()))
    });
    Some(excesses.max()?.1)
}

/// Returns the admissions of a policy by the store and by leases, for each client.
fn admissions(histories: &[History], policy: usize) -> BTreeMap<String, Vec<Admission>> {
    let mut clients: BTreeMap<String, Vec<Admission>> = BTreeMap::new();
    // A killed server has no record of a request in progress, but other requests show the client of its key.
    let mut names: BTreeMap<u128, &str> = BTreeMap::new();
    let mut by_store = Vec::new();
    for history in histories {
        let requests: BTreeMap<u64, &Request> =
            history.requests.iter().map(|request| (request.number, request)).collect();
        let checks = history.calls.iter().filter(|call| call.operation == Operation::Check);
        for check in checks {
            let Some(part) = check.parts.iter().find(|it| it.bucket.policy == policy) else {
                continue;
            };
            if let Some(request) = requests.get(&check.request) {
                names.insert(part.bucket.key, &request.client);
            }
            if let Some(reply) = check.reply.filter(|reply| reply.is_allowed) {
                by_store.push((part.bucket.key, reply.at, part.cost));
            }
        }
        let has_policy = |request: &&Request| {
            let page = PAGES.get(request.page);
            page.is_some_and(|page| page.policies.iter().any(|it| policy_index(it) == Some(policy)))
        };
        let leased = history.requests.iter().filter(|it| it.source == DecisionSource::Lease);
        for request in leased.filter(has_policy) {
            let (from, until) = (request.received_at, request.responded_at);
            let admission = Admission { from, until, units: request.cost.into(), is_leased: true };
            clients.entry(request.client.clone()).or_default().push(admission);
        }
    }
    for (key, at, cost) in by_store {
        let client = names.get(&key).map_or_else(|| key.to_string(), |name| (*name).to_owned());
        let admission = Admission { from: at, until: at, units: cost.into(), is_leased: false };
        clients.entry(client).or_default().push(admission);
    }
    clients
}
