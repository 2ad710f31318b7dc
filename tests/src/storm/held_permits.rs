//! Checks the permits that requests hold, as their handlers see them: valid permits never exceed the limit, a permit
//! stays valid to the end of its request, and the permits of a killed server come back within one lease.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use actix_rateguard::store::Operation;

use super::{
    evidence::{History, StoreEvents},
    history::{Bucket, DecisionSource, PermitPoll, StoreCall},
    limits::quota,
    permits::{has_permits, most_at_once},
    requests::checks,
    schedule::Fault,
    unavailability::UnavailablePeriods,
};

/// The results for the requests that held permits.
#[derive(Debug, Default)]
pub struct HeldPermits {
    /// The number of requests that held a permit.
    pub requests: usize,
    /// The number of requests that had a valid permit for at least ten leases, and did not lose it.
    pub long: usize,
    /// The number of requests whose permit became invalid because of a fault.
    pub excused: usize,
    /// The maximum number of valid permits of one bucket, as the handlers see it, and the limit of this bucket.
    pub most: (usize, u32),
    /// The buckets with more valid permits than the limit, and the permits that were valid for more than one lease
    /// after the store lost them.
    pub(super) excess: Vec<String>,
    /// The permits that became invalid although no fault explains it.
    pub(super) lost: Vec<String>,
    /// The permits that became invalid because no renewal had a reply in time, although no fault is known.
    pub(super) unexplained: Vec<String>,
}

/// A request that holds a permit, which the store granted.
struct Holder<'a> {
    history: &'a History,
    bucket: Bucket,
    receipt: (u64, u64),
    /// The time of the grant on the store's clock.
    granted_at: u64,
    polls: Vec<PermitPoll>,
}

impl Holder<'_> {
    /// Returns the last time at which the permit certainly was valid.
    fn last_valid(&self) -> u64 {
        let valid = self.polls.iter().filter(|poll| poll.is_valid).map(|poll| poll.at);
        valid.max().unwrap_or(self.granted_at).max(self.granted_at)
    }

    /// Returns the first time at which the permit was not valid. `None` if it was valid until the end.
    fn lost_at(&self) -> Option<u64> {
        self.polls.iter().filter(|poll| !poll.is_valid).map(|poll| poll.at).min()
    }

    fn lease(&self) -> u64 {
        let quota = quota(self.bucket.policy, self.bucket.quota_index);
        quota.map_or(0, |quota| quota.window().as_micros() as u64)
    }

    /// Returns whether the process did not run for a third of a lease within the last lease before this time, so
    /// that it may not have renewed its permits in time.
    fn was_paused_before(&self, at: u64) -> bool {
        let mut times: Vec<u64> = self.polls.iter().map(|poll| poll.at).collect();
        times.extend([self.granted_at, at]);
        times.sort_unstable();
        let late = times.iter().zip(times.iter().skip(1)).filter(|(one, next)| {
            **next > at.saturating_sub(self.lease()) && **next - **one > self.lease() / 3
        });
        late.count() > 0
    }
}

/// Checks the permits that the requests of all servers held.
#[must_use]
pub fn held_permits(histories: &[History], events: &StoreEvents) -> HeldPermits {
    let mut found = HeldPermits::default();
    let mut periods: BTreeMap<Bucket, Vec<(u64, u64)>> = BTreeMap::new();
    let starts = events.epoch_starts();
    let all = events.epoch_starts_and_failovers();
    for history in histories {
        let unavailable = UnavailablePeriods::of(history, events);
        let renewals = renewals(&history.calls);
        for holder in holders(history) {
            let (from, until) = (holder.granted_at, holder.last_valid());
            found.requests += 1;
            // A request that lost its permit does not count, even if it had the permit for this time.
            let is_long = until.saturating_sub(from) >= 10 * holder.lease();
            found.long += usize::from(is_long && holder.lost_at().is_none());
            // Other requests can take the permit immediately after the store loses it. The holder learns it later.
            let lost = all.iter().copied().find(|start| *start >= from).unwrap_or(u64::MAX);
            periods.entry(holder.bucket).or_default().push((from, until.min(lost)));
            let lost = starts.iter().copied().find(|start| *start >= from);
            if let Some(start) = lost.filter(|start| until > start + holder.lease()) {
                let (bucket, receipt) = (holder.bucket, holder.receipt);
                let details = format!(
                    "{receipt:?} of {bucket:?} is valid at {until}, but the store lost it at {start}"
                );
                found.excess.push(details);
            }
            let none = Vec::new();
            let renewals = renewals.get(&(holder.receipt, holder.bucket)).unwrap_or(&none);
            judge_loss(&holder, renewals, &unavailable, events, &mut found);
        }
    }
    for (bucket, periods) in periods {
        let (most, at) = most_at_once(periods.into_iter());
        let limit = quota(bucket.policy, bucket.quota_index).map_or(0, |quota| quota.capacity());
        if most > found.most.0 {
            found.most = (most, limit);
        }
        if most > limit as usize {
            found.excess.push(format!("{most} of {limit} permits are valid at {at} of {bucket:?}"));
        }
    }
    found
}

/// Records a violation if the permit became invalid before its request ended, unless a fault explains it.
fn judge_loss(
    holder: &Holder<'_>,
    renewals: &[&StoreCall],
    unavailable: &UnavailablePeriods,
    events: &StoreEvents,
    found: &mut HeldPermits,
) {
    let Some(lost_at) = holder.lost_at() else { return };
    let lease = holder.lease();
    let forgotten = events.epoch_starts_and_failovers();
    let is_forgotten = forgotten.iter().any(|at| (holder.granted_at..=lost_at).contains(at));
    let was_stopped = events.faults.iter().any(|period| {
        let is_own = period.server == Some(holder.history.server);
        is_own && period.from <= lost_at && period.until + lease >= lost_at
    });
    // A part of a lease without Redis can be enough, because the process renews a permit after a third of its lease.
    let from = lost_at.saturating_sub(lease);
    let was_unavailable =
        unavailable.overlap(from, lost_at) || rejected_renewals(events, from, lost_at);
    if is_forgotten || was_stopped || was_unavailable || holder.was_paused_before(lost_at) {
        found.excused += 1;
        return;
    }
    let details = format!(
        "granted at {}, valid at {}, lost at {lost_at}, {:?} of {:?}: {renewals:?}",
        holder.granted_at,
        holder.last_valid(),
        holder.receipt,
        holder.bucket
    );
    // The holder stops a little before the end of its lease, and the handler learns it at its next poll. So the last
    // renewal with a reply can be almost a lease old.
    let recent = renewals.iter().filter(|call| call.began + lease * 9 / 10 >= lost_at);
    let is_undecided = recent.clone().count() > 0 && recent.clone().all(|it| it.reply.is_none());
    if is_undecided {
        found.unexplained.push(details);
    } else {
        found.lost.push(details);
    }
}

/// Returns whether Redis accepted no renewals at some time between `from` and `until`, because it had no memory left or
/// was busy with a script. Checks are then decided in memory, so these faults do not make Redis unavailable for checks.
fn rejected_renewals(events: &StoreEvents, from: u64, until: u64) -> bool {
    events.faults.iter().any(|period| {
        let rejects = matches!(period.fault, Fault::Memory | Fault::Busy);
        rejects && period.from <= until && period.until >= from
    })
}

/// Returns the requests that hold a permit which the store granted.
fn holders(history: &History) -> Vec<Holder<'_>> {
    let checks = checks(&history.calls);
    // A request without a decision of the store holds no permit, although the server can have recorded the check of
    // another request as its own. A killed server has no record of a request in progress.
    let others = history.requests.iter().filter(|it| it.source != DecisionSource::Store);
    let others: BTreeSet<u64> = others.map(|request| request.number).collect();
    let mut polls: BTreeMap<u64, Vec<PermitPoll>> = BTreeMap::new();
    for poll in history.polls.iter().filter(|poll| !others.contains(&poll.request)) {
        polls.entry(poll.request).or_default().push(*poll);
    }
    let holder = |(request, polls): (u64, Vec<PermitPoll>)| {
        let mut checks = checks.get(&request)?.iter();
        let (reply, part) = checks.find_map(|call| {
            let reply = call.reply.filter(|reply| reply.is_allowed)?;
            Some((reply, call.parts.iter().find(|part| has_permits(part.bucket))?))
        })?;
        let (bucket, receipt, granted_at) = (part.bucket, reply.receipt, reply.at);
        Some(Holder { history, bucket, receipt, granted_at, polls })
    };
    polls.into_iter().filter_map(holder).collect()
}

/// Groups the renewals by the permit.
fn renewals(calls: &[StoreCall]) -> BTreeMap<((u64, u64), Bucket), Vec<&StoreCall>> {
    let mut renewals: BTreeMap<_, Vec<&StoreCall>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.operation == Operation::Renew) {
        for part in &call.parts {
            renewals.entry((part.refund_of, part.bucket)).or_default().push(call);
        }
    }
    renewals
}

/// Calls within this time in microseconds before a server was killed can have set its estimate of the store's clock.
const CLOCK_ESTIMATE_AGE: u64 = 20_000_000;

/// Finds permits of killed servers that were valid in Redis for longer than one lease and the deadline.
#[must_use]
pub fn stranded_permits(
    histories: &[History],
    deadline: Duration,
    events: &StoreEvents,
) -> Vec<String> {
    let mut found = Vec::new();
    let deadline = deadline.as_micros() as u64;
    for history in histories {
        let Some(killed_at) = history.killed_at else { continue };
        let permits = history.calls.iter().flat_map(|call| {
            let has_reply = call.reply.is_some_and(|reply| reply.is_allowed);
            let own = call.parts.iter().filter(move |part| has_reply && has_permits(part.bucket));
            own.filter_map(|part| quota(part.bucket.policy, part.bucket.quota_index))
        });
        let lease = permits.map(|quota| quota.window().as_micros() as u64).max().unwrap_or(0);
        // The store executes a call until its deadline on the server's estimate of the store's clock, which is wrong by
        // at most the duration of a recent call.
        let recent = history
            .calls
            .iter()
            .filter(|call| call.reply.is_some() && call.ended + CLOCK_ESTIMATE_AGE >= killed_at);
        let error = recent.map(|call| call.ended.saturating_sub(call.began)).max().unwrap_or(0);
        let latest = killed_at + lease + deadline + error;
        let mut processes: Vec<u64> =
            history.calls.iter().filter_map(|call| Some(call.reply?.receipt.0)).collect();
        processes.sort_unstable();
        processes.dedup();
        for process in processes {
            let last = events.samples.last_valid.get(&process).copied().unwrap_or(0);
            // After a backward step, a lease can last until one lease after the next access to its bucket.
            let steps = events.set_back();
            let is_set_back =
                steps.iter().any(|step| (killed_at.saturating_sub(lease)..=last).contains(step));
            if last > latest && !is_set_back {
                found.push(format!(
                    "a permit of the process {process} is valid at {last}, killed at {killed_at}"
                ));
            }
        }
    }
    found
}
