//! Reconstructs from the calls of the servers for how long each permit and each lease counted in the store.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{Algorithm, store::Operation};

use super::{
    evidence::StoreEvents,
    execution_bounds::ExecutionBounds,
    history::{Bucket, Part, StoreCall},
    limits::quota,
};

/// Units or permits that count in a bucket because of a lease. Times are in microseconds since 1970, on a clock of the
/// store that was never set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// The number of units or permits.
    pub units: u64,
    /// The earliest time from which they may count.
    from: u64,
    /// The latest time until which they may count.
    until: u64,
    /// Whether the store confirmed the call that took them.
    pub is_confirmed: bool,
    /// For a permit: the periods in which it certainly counts. The beginning is included, the end is not.
    pub certain: Vec<(u64, u64)>,
}

impl Hold {
    /// Returns whether the units may count at this time.
    #[must_use]
    pub fn may_count(&self, time: u64) -> bool {
        (self.from..=self.until).contains(&time)
    }
}

/// Returns whether the bucket limits requests in progress.
#[must_use]
pub fn has_permits(bucket: Bucket) -> bool {
    quota(bucket.policy, bucket.quota_index)
        .is_some_and(|quota| quota.algorithm() == Algorithm::Concurrency)
}

/// The times of a permit or a lease in the calls of the servers. Its bucket and its receipt identify it.
#[derive(Default)]
struct HoldTimes {
    units: u64,
    /// For each call that took or renewed it: the earliest time from which, and the latest time until which, it may
    /// count because of this call.
    possible: Vec<(u64, u64)>,
    certain: Vec<(u64, u64)>,
    /// The earliest time at which the store may have executed a release.
    release: Option<u64>,
    /// The earliest time at which it certainly ended.
    end: Option<u64>,
    /// For a returned lease: the number of used units, and the time until which they count.
    used: Option<(u64, u64)>,
    /// For a lease: the maximum difference between the time of a use and the upper bound of this time.
    late: u64,
}

/// Returns the permits and the leases of each bucket. `servers` has the calls of each server, and `deadline` is the
/// deadline of the calls.
#[must_use]
pub fn holds(
    servers: &[Vec<StoreCall>],
    deadline: Duration,
    events: &StoreEvents,
) -> BTreeMap<Bucket, Vec<Hold>> {
    let mut held: BTreeMap<((u64, u64), Bucket), HoldTimes> = BTreeMap::new();
    let mut holds: BTreeMap<Bucket, Vec<Hold>> = BTreeMap::new();
    for calls in servers {
        let bounds = ExecutionBounds::of(calls, deadline);
        for call in calls {
            let takes = matches!(call.operation, Operation::Check | Operation::Lease);
            for part in &call.parts {
                let Some(counts_for) = counts_for(call.operation, part) else { continue };
                let latest = bounds.latest_execution(call);
                let taken_by = match call.reply {
                    None if takes => {
                        // The server does not know whether the store granted the permit, so it does not renew it.
                        let until = latest.saturating_add(counts_for);
                        let (from, units) = (call.began, part.cost.into());
                        let hold = Hold { units, from, until, ..Hold::default() };
                        holds.entry(part.bucket).or_default().push(hold);
                        continue;
                    }
                    Some(reply) if takes && !reply.is_allowed => continue,
                    Some(reply) if takes => reply.receipt,
                    _ => part.refund_of,
                };
                let it = held.entry((taken_by, part.bucket)).or_default();
                it.record(call, part, counts_for, latest, events);
            }
        }
    }
    for ((_, bucket), held) in held {
        holds.entry(bucket).or_default().extend(held.into_holds(events));
    }
    holds
}

/// Returns the time in microseconds for which the permit or the lease counts after such a call. `None` if the bucket of
/// this call has neither.
fn counts_for(operation: Operation, part: &Part) -> Option<u64> {
    let quota = quota(part.bucket.policy, part.bucket.quota_index)?;
    let is_of_permit = matches!(operation, Operation::Check | Operation::Renew | Operation::Refund);
    match quota.algorithm() {
        Algorithm::Concurrency => is_of_permit.then(|| micros(quota.window())),
        // A unit counts until one window after the end of its lease.
        _ if matches!(operation, Operation::Lease | Operation::Return) => {
            Some(micros(quota.lease()?.duration() + quota.window()))
        }
        _ => None,
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

impl HoldTimes {
    fn record(
        &mut self,
        call: &StoreCall,
        part: &Part,
        counts_for: u64,
        latest: u64,
        events: &StoreEvents,
    ) {
        let end = |at: u64, end: &mut Option<u64>| *end = Some(end.map_or(at, |it| it.min(at)));
        // A failover may lose this call although the store has replied.
        let lasting = call.reply.filter(|reply| !events.may_lose(reply.at));
        match (call.operation, call.reply) {
            (Operation::Check | Operation::Lease | Operation::Renew, Some(reply))
                if reply.is_allowed =>
            {
                self.units = self.units.max(part.cost.into());
                self.possible.push((reply.at, reply.at + counts_for));
                self.certain.push((reply.at, reply.at + counts_for));
                let lease = quota(part.bucket.policy, part.bucket.quota_index)
                    .and_then(|quota| quota.lease());
                // The process measures the times of uses from before it sent the request, and adds 1 % for clocks
                // that run at different rates.
                let margin = lease.map_or(0, |lease| micros(lease.duration()) / 100);
                self.late = reply.at.saturating_sub(call.began) + margin;
            }
            (Operation::Renew, Some(reply)) => end(reply.at, &mut self.end),
            (Operation::Renew, None) => {
                self.possible.push((call.began, latest.saturating_add(counts_for)));
            }
            (Operation::Return, _) => {
                if let Some(reply) = lasting {
                    let quota = quota(part.bucket.policy, part.bucket.quota_index);
                    let window = quota.map_or(0, |quota| micros(quota.window()));
                    self.used = Some((part.cost.into(), reply.at + window));
                    end(reply.at, &mut self.end);
                }
            }
            _ => {
                end(call.began, &mut self.release);
                if let Some(reply) = lasting {
                    end(reply.at, &mut self.end);
                }
            }
        }
    }

    fn into_holds(self, events: &StoreEvents) -> Vec<Hold> {
        let from = self.possible.iter().map(|(from, _)| *from).min().unwrap_or(0);
        let until = self.possible.iter().map(|(_, until)| *until).max().unwrap_or(0);
        if until == 0 {
            // The history has the end, but not the grant.
            return Vec::new();
        }
        let lost = events.losses.iter().copied().filter(|loss| *loss >= from).min();
        let lost = lost.unwrap_or(u64::MAX);
        let end = self.end.unwrap_or(u64::MAX);
        let hold = Hold {
            units: self.units,
            from,
            until: until.min(end).min(lost),
            is_confirmed: true,
            certain: self.certain_periods(events),
        };
        let used = self.used.map(|(units, used_until)| Hold {
            units: units.min(self.units),
            from: end,
            until: until.min(used_until + self.late).min(lost),
            is_confirmed: true,
            certain: Vec::new(),
        });
        std::iter::once(hold).chain(used).collect()
    }

    /// Returns the periods in which the permit certainly counts, sorted and without overlaps.
    fn certain_periods(&self, events: &StoreEvents) -> Vec<(u64, u64)> {
        let ends = |(from, until): &(u64, u64)| {
            let mut until = (*until).min(self.release.unwrap_or(u64::MAX));
            for start in events.epoch_starts().into_iter().filter(|start| start >= from) {
                until = until.min(start);
            }
            for (lost, killed) in &events.failovers {
                if (*lost..=*killed).contains(from) {
                    until = until.min(*killed);
                }
            }
            (*from, until)
        };
        let mut periods: Vec<_> = self.certain.iter().map(ends).collect();
        periods.retain(|(from, until)| from < until);
        periods.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, until) in periods {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = until.max(*end),
                _ => merged.push((from, until)),
            }
        }
        merged
    }
}

/// Returns the maximum number of these periods that overlap, and the time at which this number is reached. The end of a
/// period is not part of it.
#[must_use]
pub fn most_at_once(periods: impl Iterator<Item = (u64, u64)>) -> (usize, u64) {
    // At equal times, an end comes before a beginning.
    let mut changes: Vec<(u64, i32)> = periods
        .filter(|(from, until)| from < until)
        .flat_map(|(from, until)| [(from, 1), (until, -1)])
        .collect();
    changes.sort_unstable();
    let (mut current, mut most) = (0_i32, (0, 0));
    for (at, change) in changes {
        current += change;
        if current > most.0 {
            most = (current, at);
        }
    }
    (most.0 as usize, most.1)
}
