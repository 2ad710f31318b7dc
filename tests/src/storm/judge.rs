//! The judge of a storm, which is a test that injects random faults. The judge checks whether the histories of the
//! servers agree with the limits.

use std::{collections::BTreeMap, fmt, time::Duration};

use actix_rateguard::{Algorithm, Quota, store::Operation};

use super::{
    admissions::excess,
    bans::{admission_during_ban, ban_without_offences},
    buckets::{BucketHistory, bucket_histories},
    cached_denials::DenialCacheModel,
    clock::{Setting, correct},
    clock_step_rules::ClockStepRules,
    denials::UsageUpperBound,
    history::{Bucket, DecisionSource, Part, Request, StoreCall},
    limits::{LIMITS, quota},
    local::over_share,
    requests::{checks, is_cached_denial, is_undecided, violation},
    unavailability::{FaultPeriod, UnavailablePeriods},
};
use crate::algorithms::aligns_windows_to_clock;

/// The history of one server.
#[derive(Debug, Default)]
pub struct History {
    /// The failure mode: `open`, `closed` or `local`.
    pub mode: &'static str,
    /// Whether the server connects to Redis through a proxy.
    pub is_proxied: bool,
    /// The periods in which Redis could not reply because the machine gave Redis no CPU time, sorted by time.
    pub stalls: Vec<(u64, u64)>,
    /// The calls that the server made to the store.
    pub calls: Vec<StoreCall>,
    /// The HTTP requests that the server received.
    pub requests: Vec<Request>,
}

/// The kinds of violations that the judge finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// A bucket admitted more units than its limit.
    OverAdmission,
    /// The store denied a check although all buckets of the check certainly had room.
    FalseDenial,
    /// The response to a request contradicts the replies of the store.
    Request,
    /// A server admitted more units in memory than its local share of the limit.
    Local,
    /// An HTTP request had no decision although Redis was available.
    Undecided,
    /// The store admitted a banned key, or it banned a key that had too few offences.
    Ban,
}

impl Violation {
    /// All kinds of violations.
    pub const ALL: [Self; 6] = [
        Self::OverAdmission,
        Self::FalseDenial,
        Self::Request,
        Self::Local,
        Self::Undecided,
        Self::Ban,
    ];
}

/// Events of the store that the servers cannot observe directly. Times are in microseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct StoreEvents {
    /// The times at which the store lost all data.
    pub losses: Vec<u64>,
    /// All times at which the test set the store's clock forward or back.
    pub settings: Vec<Setting>,
    /// All injected faults.
    pub faults: Vec<FaultPeriod>,
}

impl StoreEvents {
    /// Returns the times at which a bucket may begin to admit its full limit again, because the store lost its data
    /// or its clock was stepped forward.
    fn epoch_starts(&self) -> Vec<u64> {
        let mut starts = self.losses.clone();
        starts.extend(self.clock_steps(|before, after| before < after));
        starts.sort_unstable();
        starts
    }

    /// Returns the times of all backward clock steps.
    pub(super) fn set_back(&self) -> Vec<u64> {
        self.clock_steps(|before, after| before > after)
    }

    /// Returns the times of the clock steps that `is_selected` accepts. The arguments of `is_selected` are the old
    /// and the new offset of the clock.
    fn clock_steps(&self, is_selected: impl Fn(i64, i64) -> bool) -> Vec<u64> {
        let mut before = 0;
        let mut times = Vec::new();
        for Setting { at, ahead } in &self.settings {
            if is_selected(before, *ahead) {
                times.push(*at);
            }
            before = *ahead;
        }
        times
    }
}

/// The results of the judge: violations and counts.
#[derive(Debug, Default)]
pub struct Findings {
    /// The messages for each kind of violation.
    pub violations: BTreeMap<Violation, Vec<String>>,
    /// The number of HTTP requests.
    pub requests: usize,
    /// The number of checks that the store admitted.
    pub admitted: usize,
    /// The number of checks that the store denied.
    pub denied: usize,
    /// The number of checks to which the store did not reply.
    pub unanswered: usize,
    /// The number of refunds that the store confirmed.
    pub refunded: usize,
    /// The durations in microseconds of the checks without a reply, sorted.
    pub unanswered_durations: Vec<u64>,
    /// The number of requests for each outcome in which the store did not decide directly, such as a denial from the
    /// denial cache.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// The units above the limit that sliding-window logs admitted after a data loss or a forward clock step. The
    /// first number is the sum of these units. The second number is the maximum for one bucket and one such event.
    pub excess_after_losses: (u64, u64),
    /// The number of denials that are correct only if the store executed calls to which it did not reply.
    pub undecidable: usize,
}

impl Findings {
    fn add_all(&mut self, violation: Violation, details: Vec<String>) {
        details.into_iter().for_each(|it| self.add(violation, it));
    }

    fn add(&mut self, violation: Violation, details: impl fmt::Display) {
        self.violations.entry(violation).or_default().push(details.to_string());
    }
}

/// Judges the histories of all servers that share a store. `deadline` is the deadline for calls of this store.
#[must_use]
pub fn judge(histories: Vec<History>, deadline: Duration, events: &StoreEvents) -> Findings {
    let mut findings = Findings::default();
    for history in &histories {
        judge_requests(history, events, &mut findings);
    }
    let banned = ban_without_offences(&histories, events);
    findings.add_all(Violation::Ban, banned);
    let mut calls: Vec<Vec<StoreCall>> =
        histories.into_iter().map(|history| history.calls).collect();
    for call in calls.iter_mut().flatten() {
        correct(call, &events.settings);
    }
    findings.add_all(Violation::Ban, admission_during_ban(&calls, events));
    let bucket_histories = bucket_histories(&calls, deadline);
    for (bucket, history) in &bucket_histories {
        judge_admissions(*bucket, history, events, &mut findings);
    }
    judge_denials(&calls, &bucket_histories, events, &mut findings);
    let calls_of = |operation| calls.iter().flatten().filter(move |it| it.operation == operation);
    let count = |is_allowed| {
        let is_counted = move |it: &&StoreCall| it.reply.map(|it| it.is_allowed) == is_allowed;
        calls_of(Operation::Check).filter(is_counted).count()
    };
    (findings.admitted, findings.denied) = (count(Some(true)), count(Some(false)));
    findings.unanswered = count(None);
    let unanswered = calls_of(Operation::Check).filter(|call| call.reply.is_none());
    let durations = unanswered.map(|call| call.ended.saturating_sub(call.began));
    findings.unanswered_durations = durations.collect();
    findings.unanswered_durations.sort_unstable();
    findings.refunded = calls_of(Operation::Refund).filter(|it| it.reply.is_some()).count();
    findings
}

fn judge_requests(history: &History, events: &StoreEvents, findings: &mut Findings) {
    let unavailable = UnavailablePeriods::of(history, events);
    let checks = checks(&history.calls);
    let denial_cache = DenialCacheModel::of(&history.calls, &history.requests);
    for request in &history.requests {
        let none = Vec::new();
        let checks = checks.get(&request.number).unwrap_or(&none);
        if let Some(reason) = violation(history.mode, request, checks, &denial_cache) {
            let details = format!("{reason} ({}): {request:?} {checks:?}", history.mode);
            findings.add(Violation::Request, details);
        }
        let was_unavailable = || unavailable.overlap(request.received_at, request.responded_at);
        if is_undecided(request) && !was_unavailable() {
            let details = format!("({}) {request:?} {checks:?}", history.mode);
            findings.add(Violation::Undecided, details);
        }
        let outcome = match (request.source, request.status) {
            (DecisionSource::Memory, _) => Some("decided in memory"),
            (_, 503) => Some("rejected without decision"),
            (DecisionSource::Undecided, _) => Some("passed without decision"),
            (DecisionSource::Store, _) => {
                is_cached_denial(request, checks).then_some("denied from cache")
            }
        };
        if let Some(outcome) = outcome {
            *findings.outcomes.entry(outcome).or_default() += 1;
        }
    }
    findings.requests += history.requests.len();
    for request in over_share(history) {
        findings.add(Violation::Local, format!("({}) {request:?}", history.mode));
    }
}

fn judge_admissions(
    bucket: Bucket,
    history: &BucketHistory,
    events: &StoreEvents,
    findings: &mut Findings,
) {
    let Some(quota) = quota(bucket.policy, bucket.quota_index) else { return };
    if uses_stepped_clock(quota, events) {
        return;
    }
    let (name, _) = LIMITS[bucket.policy];
    // A data loss or a forward clock step begins a new epoch. The store then forgets the units that were taken
    // before, so the takes of different epochs are judged separately.
    let starts = events.epoch_starts();
    let epoch = |at: u64| starts.partition_point(|start| *start <= at);
    let epochs: Vec<_> =
        history.takes.chunk_by(|one, other| epoch(one.at) == epoch(other.at)).collect();
    for takes in &epochs {
        let excess = excess(quota, takes, 0);
        if excess.units > 0 {
            findings.add(
                Violation::OverAdmission,
                format!("{name}, {quota}: {excess:?} of {bucket:?}"),
            );
        }
    }
    if quota.algorithm() != Algorithm::SlidingWindow {
        return;
    }
    // Within one window, the units taken in one epoch do not exceed the limit. Therefore the units taken in two
    // successive epochs do not exceed twice the limit. An excess over the limit across two epochs is reported, but
    // it is not a violation.
    for (one, other) in epochs.iter().zip(epochs.iter().skip(1)) {
        let units = excess(quota, &[*one, *other].concat(), 0).units;
        findings.excess_after_losses.0 += units;
        findings.excess_after_losses.1 = findings.excess_after_losses.1.max(units);
    }
}

fn judge_denials(
    calls: &[Vec<StoreCall>],
    bucket_histories: &BTreeMap<Bucket, BucketHistory>,
    events: &StoreEvents,
    findings: &mut Findings,
) {
    let confirmed = |(bucket, history): (&Bucket, &BucketHistory)| {
        (*bucket, BucketHistory { takes: history.takes.clone(), uncertain: Vec::new() })
    };
    let confirmed: BTreeMap<Bucket, BucketHistory> =
        bucket_histories.iter().map(confirmed).collect();
    let rules = ClockStepRules::of(calls, events);
    let with_uncertain = upper_bounds(bucket_histories, &events.losses, &rules);
    let without_uncertain = upper_bounds(&confirmed, &events.losses, &rules);
    for call in calls.iter().flatten().filter(|call| call.operation == Operation::Check) {
        let Some(reply) = call.reply.filter(|reply| !reply.is_allowed) else { continue };
        let used = |bounds: &BTreeMap<Bucket, UsageUpperBound<'_>>| -> Vec<u64> {
            let used = |part: &Part| bounds.get(&part.bucket).map_or(0, |it| it.at(reply.at));
            call.parts.iter().map(used).collect()
        };
        let has_room = |used: &[u64]| {
            call.parts.iter().zip(used).all(|(part, used)| {
                let quota = quota(part.bucket.policy, part.bucket.quota_index);
                used + u64::from(part.cost) <= quota.map_or(0, |quota| quota.capacity().into())
            })
        };
        let is_explained =
            call.parts.iter().any(|part| rules.explains_denial(part.bucket, reply.at));
        // A ban denies a key even if all quotas have room.
        if is_explained || reply.banned_for > 0 {
            continue;
        }
        let max_used = used(&with_uncertain);
        if has_room(&max_used) {
            let (name, _) = LIMITS[call.parts[0].bucket.policy];
            let details = format!("{name}, with at most {max_used:?} units used: {call:?}");
            findings.add(Violation::FalseDenial, details);
        } else if has_room(&used(&without_uncertain)) {
            findings.undecidable += 1;
        }
    }
}

/// Returns whether the times of the quota's windows are unknown. They are unknown if the windows depend on the
/// store's clock and a clock step has changed this clock.
pub(super) fn uses_stepped_clock(quota: Quota, events: &StoreEvents) -> bool {
    aligns_windows_to_clock(quota.algorithm()) && !events.settings.is_empty()
}

fn upper_bounds<'a>(
    bucket_histories: &'a BTreeMap<Bucket, BucketHistory>,
    losses: &'a [u64],
    rules: &ClockStepRules<'_>,
) -> BTreeMap<Bucket, UsageUpperBound<'a>> {
    let bound = |(bucket, history): (&Bucket, &'a BucketHistory)| {
        let quota = quota(bucket.policy, bucket.quota_index)?;
        let first_accesses = rules.first_accesses(*bucket);
        Some((*bucket, UsageUpperBound::of(quota, history, losses, first_accesses)))
    };
    bucket_histories.iter().filter_map(bound).collect()
}
