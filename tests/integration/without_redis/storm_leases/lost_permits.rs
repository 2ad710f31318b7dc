//! Tests that the judge finds a permit that became invalid before its request ended, unless a fault explains it.

use rateguard_tests::storm::{
    evidence::{FaultPeriod, History, StoreEvents},
    findings::{Findings, Violation},
    history::{PermitPoll, StoreCall},
    schedule::Fault,
};

use super::histories::{
    MILLI, SECOND, denied, failover, fault, findings, grant, losses, lost, renewal, valid,
    without_reply,
};

/// A request has its permit from 10 ms. The store renews it at 340 ms. It is no longer valid at 1.35 s, which is one
/// lease later. `calls` are further calls.
fn judged(calls: Vec<StoreCall>, events: &StoreEvents) -> Findings {
    judged_with_polls(calls, valid(0, 20 * MILLI, 1_320 * MILLI), events)
}

fn judged_with_polls(
    calls: Vec<StoreCall>,
    mut polls: Vec<PermitPoll>,
    events: &StoreEvents,
) -> Findings {
    polls.push(lost(0, 1_350 * MILLI));
    let calls = [vec![grant(0, 10 * MILLI), renewal(0, 340 * MILLI)], calls].concat();
    // A later call shows that Redis is available again.
    let calls = [calls, vec![grant(50, 3 * SECOND)]].concat();
    findings(History { server: 1, calls, polls, ..History::default() }, events)
}

#[track_caller]
fn assert_found(findings: Findings, violations: &[Violation]) {
    let found: Vec<_> = findings.violations.keys().copied().collect();
    assert_eq!(found, violations, "{findings:?}");
    assert_eq!(findings.held.excused, usize::from(violations.is_empty()));
}

fn none() -> StoreEvents {
    StoreEvents::default()
}

fn during(period: FaultPeriod) -> StoreEvents {
    StoreEvents { faults: vec![period], ..none() }
}

#[test]
fn request_of_ten_leases_keeps_its_permit() {
    let renewals = (1..40).map(|third| renewal(0, 10 * MILLI + third * 333 * MILLI));
    let calls = [grant(0, 10 * MILLI)].into_iter().chain(renewals).collect();
    let polls = valid(0, 20 * MILLI, 11 * SECOND);
    let findings = findings(History { calls, polls, ..History::default() }, &none());
    assert!(findings.violations.is_empty(), "{findings:?}");
    assert_eq!((findings.held.requests, findings.held.long), (1, 1));
}

#[test]
fn permit_that_is_lost_without_a_fault_is_a_violation() {
    // No renewal was sent after the first one.
    assert_found(judged(vec![], &none()), &[Violation::LostPermit]);
    // The store no longer had the permit.
    let rejected = denied(renewal(0, 670 * MILLI));
    assert_found(judged(vec![rejected], &none()), &[Violation::LostPermit]);
    // The store renewed the permit, but the holder does not believe it.
    assert_found(judged(vec![renewal(0, 1_200 * MILLI)], &none()), &[Violation::LostPermit]);
}

#[test]
fn permit_without_replies_to_renewals_is_undecided() {
    let renewals = [670, 820, 970, 1_120].map(|at| without_reply(renewal(0, at * MILLI)));
    assert_found(judged(renewals.to_vec(), &none()), &[Violation::Undecided]);
    // The lease of this renewal has just ended, with its margin of 1 %.
    let ended = [vec![renewal(0, 360 * MILLI)], renewals.to_vec()].concat();
    assert_found(judged(ended, &none()), &[Violation::Undecided]);
    let rejected = vec![renewals[0].clone(), denied(renewal(0, 1_300 * MILLI))];
    assert_found(judged(rejected, &none()), &[Violation::LostPermit]);
}

#[test]
fn lost_data_and_unavailable_redis_explain_a_lost_permit() {
    let rejected = || vec![denied(renewal(0, 670 * MILLI))];
    assert_found(judged(rejected(), &losses(500 * MILLI)), &[]);
    assert_found(judged(rejected(), &failover(300 * MILLI, 500 * MILLI)), &[]);
    // The data was lost before the store granted the permit, or after the permit was lost.
    assert_found(judged(rejected(), &losses(0)), &[Violation::LostPermit]);
    assert_found(judged(rejected(), &losses(2 * SECOND)), &[Violation::LostPermit]);
    let freeze = |from, until| during(fault(Fault::Freeze, None, from * MILLI, until * MILLI));
    assert_found(judged(vec![], &freeze(400, 1_340)), &[]);
    assert_found(judged(vec![], &freeze(1_400, 2_000)), &[Violation::LostPermit]);
    // Redis rejects renewals without memory, although the checks are decided in memory.
    let memory = |from, until| {
        let period = fault(Fault::Memory, None, from * MILLI, until * MILLI);
        during(FaultPeriod { blocks_redis: false, ..period })
    };
    assert_found(judged(vec![], &memory(400, 1_340)), &[]);
    assert_found(judged(vec![], &memory(1_400, 2_000)), &[Violation::LostPermit]);
}

#[test]
fn only_a_stop_of_its_own_process_explains_a_lost_permit() {
    let stop = |server| during(fault(Fault::ServerStop, Some(server), 400 * MILLI, 1_340 * MILLI));
    assert_found(judged(vec![], &stop(1)), &[]);
    assert_found(judged(vec![], &stop(2)), &[Violation::LostPermit]);
    // The polls show that the machine gave no CPU time to the process.
    let polls = [valid(0, 20 * MILLI, 420 * MILLI), valid(0, 1_300 * MILLI, 1_300 * MILLI)];
    assert_found(judged_with_polls(vec![], polls.concat(), &none()), &[]);
}
