//! The judge of a storm, which is a test that injects random faults. The judge checks whether the histories of the
//! servers agree with the limits.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{Algorithm, store::Operation};

use super::{
    admissions::excess,
    bans::{admission_during_ban, ban_without_offences},
    buckets::{BucketHistory, Take, bucket_histories},
    cached_denials::DenialCacheModel,
    clock::correct,
    clock_step_rules::{ClockStepRules, uses_stepped_clock},
    denials::UsageUpperBound,
    evidence::{History, StoreEvents},
    findings::{Findings, Violation},
    held_permits::{held_permits, stranded_permits},
    history::{Bucket, DecisionSource, Part, StoreCall},
    leased_windows::leased_excess,
    limits::{LIMITS, quota},
    local::over_share,
    permits::{has_permits, most_at_once},
    requests::{checks, is_cached_denial, is_undecided, violation, with_unknown_checks},
    unavailability::UnavailablePeriods,
};

/// Judges the histories of all servers that share a store. `deadline` is the deadline for calls of this store.
#[must_use]
pub fn judge(mut histories: Vec<History>, deadline: Duration, events: &StoreEvents) -> Findings {
    let mut findings = Findings::default();
    for history in &histories {
        judge_requests(history, events, &mut findings);
    }
    let banned = ban_without_offences(&histories, events);
    findings.add_all(Violation::Ban, banned);
    for call in histories.iter_mut().flat_map(|history| &mut history.calls) {
        correct(call, &events.settings);
    }
    let excess = leased_excess(&histories, events);
    findings.add_all(Violation::OverAdmission, excess);
    judge_permits(&histories, deadline, events, &mut findings);
    let calls: Vec<Vec<StoreCall>> = histories.into_iter().map(|history| history.calls).collect();
    findings.add_all(Violation::Ban, admission_during_ban(&calls, events));
    let bucket_histories = bucket_histories(&calls, deadline, events);
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
    let with_unknown_checks = with_unknown_checks(&history.requests);
    for request in &history.requests {
        let none = Vec::new();
        let checks = checks.get(&request.number).unwrap_or(&none);
        let violation = violation(history.mode, request, checks, &denial_cache);
        let is_known = !with_unknown_checks.contains(&request.number);
        if let Some(reason) = violation.filter(|_| is_known) {
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
            (DecisionSource::Lease, _) => Some("admitted with a lease"),
            (DecisionSource::Store, _) => {
                is_cached_denial(request, checks).then_some("denied from cache")
            }
        };
        if let Some(outcome) = outcome {
            *findings.outcomes.entry(outcome).or_default() += 1;
        }
    }
    findings.requests += history.requests.len();
    let leased = history.requests.iter().filter(|it| it.source == DecisionSource::Lease);
    findings.leased += leased.count();
    for request in over_share(history) {
        findings.add(Violation::Local, format!("({}) {request:?}", history.mode));
    }
}

fn judge_permits(
    histories: &[History],
    deadline: Duration,
    events: &StoreEvents,
    findings: &mut Findings,
) {
    let mut held = held_permits(histories, events);
    findings.add_all(Violation::Permits, std::mem::take(&mut held.excess));
    findings.add_all(Violation::LostPermit, std::mem::take(&mut held.lost));
    findings.add_all(Violation::Undecided, std::mem::take(&mut held.unexplained));
    findings.held = held;
    findings.add_all(Violation::StrandedPermit, stranded_permits(histories, deadline, events));
}

/// Judges the samples of Redis. Neither a data loss nor a clock step permits more than the limit in Redis itself,
/// except for logs after a backward step.
fn judge_samples(rules: &ClockStepRules<'_>, events: &StoreEvents, findings: &mut Findings) {
    for (bucket, at, count) in &events.samples.over_limit {
        let (name, rates) = LIMITS[bucket.policy];
        let details = format!("{name}, {rates}: Redis has {count} at {at} for {bucket:?}");
        if has_permits(*bucket) {
            findings.add(Violation::Permits, details);
        } else if !rules.may_revive_units(*bucket, *at) {
            findings.add(Violation::OverAdmission, details);
        }
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
    if has_permits(bucket) {
        let certain = history.holds.iter().flat_map(|hold| hold.certain.iter().copied());
        let (most, at) = most_at_once(certain);
        if most > quota.capacity() as usize {
            let details = format!("{name}, {quota}: {most} permits at {at} of {bucket:?}");
            findings.add(Violation::Permits, details);
        }
        return;
    }
    // A data loss, a failover or a forward clock step begins a new epoch. The store then forgets units that were taken
    // before, so the takes of different epochs are judged separately.
    let starts = events.epoch_starts_and_failovers();
    let epochs = epochs(&history.takes, &starts);
    // A failover only loses the last units before it. So a log does not forget the other ones.
    let kept: Vec<Take> =
        history.takes.iter().filter(|take| !events.may_lose(take.at)).cloned().collect();
    let starts = events.epoch_starts();
    let is_log = quota.algorithm() == Algorithm::SlidingWindow;
    let kept = if is_log { self::epochs(&kept, &starts) } else { Vec::new() };
    for takes in epochs.iter().chain(&kept) {
        let excess = excess(quota, takes, 0);
        if excess.units > 0 {
            findings.add(
                Violation::OverAdmission,
                format!("{name}, {quota}: {excess:?} of {bucket:?}"),
            );
        }
    }
    if !is_log {
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

/// Divides the takes, which are sorted by time, at these times.
fn epochs<'a>(takes: &'a [Take], starts: &[u64]) -> Vec<&'a [Take]> {
    let epoch = |at: u64| starts.partition_point(|start| *start <= at);
    takes.chunk_by(|one, other| epoch(one.at) == epoch(other.at)).collect()
}

fn judge_denials(
    calls: &[Vec<StoreCall>],
    bucket_histories: &BTreeMap<Bucket, BucketHistory>,
    events: &StoreEvents,
    findings: &mut Findings,
) {
    let confirmed = |(bucket, history): (&Bucket, &BucketHistory)| {
        let holds = history.holds.iter().filter(|hold| hold.is_confirmed).cloned().collect();
        let takes = history.takes.clone();
        (*bucket, BucketHistory { takes, uncertain: Vec::new(), holds })
    };
    let confirmed: BTreeMap<Bucket, BucketHistory> =
        bucket_histories.iter().map(confirmed).collect();
    let rules = ClockStepRules::of(calls, events);
    judge_samples(&rules, events, findings);
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
