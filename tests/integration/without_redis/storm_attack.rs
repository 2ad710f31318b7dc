//! Tests the storm judge, which decides whether servers behaved correctly in a storm (a test that injects random
//! faults). The load of an attack must not explain an undecided request. Some other faults, such as a frozen Redis
//! server, may explain it.

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    evidence::{FaultPeriod, History, StoreEvents},
    findings::{Findings, Violation},
    history::{Bucket, DecisionSource, Part, Request, StoreCall, StoreReply},
    judge::judge,
    limits::{PAGES, policy_index},
    probes::{Probe, stalls},
    schedule::{Fault, Step},
};

const DEADLINE: std::time::Duration = std::time::Duration::from_millis(100);
const MILLI: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLI;
/// The start of each history: a round number of microseconds since 1970.
const START: u64 = 1_800_000_000_000_000;

fn page(path: &str) -> usize {
    PAGES.iter().position(|page| page.path == path).unwrap()
}

/// Returns an HTTP request that arrived `at` microseconds after [`START`]. The response was sent two milliseconds after
/// that.
fn request(number: u64, path: &str, at: u64, source: DecisionSource, status: u16) -> Request {
    let received_at = START + at;
    let (client, page) = ("attacker".to_owned(), page(path));
    Request {
        number,
        received_at,
        responded_at: received_at + 2 * MILLI,
        page,
        client,
        cost: 1,
        status,
        source,
    }
}

/// Returns the check for an HTTP request. The check began `at` microseconds after [`START`] and took one millisecond.
fn check(request: u64, policy: &str, at: u64, is_allowed: bool) -> StoreCall {
    let at = START + at;
    let bucket = Bucket { policy: policy_index(policy).unwrap(), quota_index: 0, key: 7 };
    StoreCall {
        request,
        operation: Operation::Check,
        began: at,
        ended: at + MILLI,
        reply: Some(StoreReply {
            is_allowed,
            at: at + MILLI / 2,
            receipt: (1, request),
            banned_for: 0,
        }),
        error: String::new(),
        parts: vec![Part { bucket, cost: 1, reset_after: 0, refund_of: (0, 0) }],
    }
}

fn period(fault: Fault, from: u64, until: u64) -> FaultPeriod {
    let blocks_redis = step(fault, 0).blocks_redis(fault);
    FaultPeriod { fault, blocks_redis, server: None, from: START + from, until: START + until }
}

fn step(fault: Fault, random_choice: usize) -> Step {
    let (duration, pause_after) = (DEADLINE, DEADLINE);
    Step { faults: vec![fault], duration, pause_after, random_choice }
}

fn judge_history(history: History, faults: Vec<FaultPeriod>) -> Findings {
    judge(vec![history], DEADLINE, &StoreEvents { faults, ..StoreEvents::default() })
}

/// Returns the history of a server. The server received replies from the store at 0 and 5 seconds. At the time `at`,
/// it received a request that the store did not decide.
fn undecided(mode: &'static str, at: u64) -> History {
    let answered =
        [(1, 0), (2, 5 * SECOND)].map(|(number, at)| (number, check(number, "log", at, true), at));
    let mut requests: Vec<_> = answered
        .iter()
        .map(|(number, _, at)| request(*number, "/log", *at, DecisionSource::Store, 200))
        .collect();
    let status = if mode == "closed" { 503 } else { 200 };
    requests.push(request(3, "/log", at, DecisionSource::Undecided, status));
    let calls = answered.into_iter().map(|(_, check, _)| check).collect();
    History { mode, calls, requests, ..History::default() }
}

fn is_explained(history: History, faults: &[FaultPeriod]) -> bool {
    let violations = judge_history(history, faults.to_vec()).violations;
    assert!(violations.keys().all(|it| *it == Violation::Undecided), "{violations:?}");
    violations.is_empty()
}

#[test]
fn undecided_request_under_attack_is_a_violation_without_another_fault() {
    let attack = period(Fault::Attack, SECOND, 3 * SECOND);
    for mode in ["open", "closed"] {
        let history = || undecided(mode, 2 * SECOND);
        assert!(!is_explained(history(), &[]));
        assert!(!is_explained(history(), &[attack]));
        let freeze = period(Fault::Freeze, 1_900 * MILLI, 2_100 * MILLI);
        assert!(is_explained(history(), &[attack, freeze]));
        assert!(!is_explained(history(), &[attack, period(Fault::Freeze, 3 * SECOND, 4 * SECOND)]));
    }
}

#[test]
fn full_memory_or_busy_script_explains_no_undecided_request() {
    for fault in [Fault::Memory, Fault::Busy, Fault::ScriptFlush] {
        assert!(!is_explained(undecided("open", 2 * SECOND), &[period(fault, 0, 3 * SECOND)]));
    }
    for fault in [Fault::KillKeepData, Fault::Password, Fault::Replica, Fault::PauseWrites] {
        assert!(is_explained(undecided("open", 2 * SECOND), &[period(fault, 0, 3 * SECOND)]));
    }
}

#[test]
fn network_fault_explains_undecided_requests_of_proxied_servers_only() {
    let stall = period(Fault::Stall, SECOND, 3 * SECOND);
    let direct = undecided("open", 2 * SECOND);
    assert!(!is_explained(direct, &[stall]));
    let proxied = History { is_proxied: true, ..undecided("open", 2 * SECOND) };
    assert!(is_explained(proxied, &[stall]));
}

#[test]
fn slow_network_blocks_redis_if_delay_exceeds_the_deadline() {
    let blocks_redis = |random_choice| {
        let step = step(Fault::Slow, random_choice);
        assert_eq!(step.blocks_redis(Fault::Slow), 4 * step.delay() > DEADLINE / 2, "{step:?}");
        step.blocks_redis(Fault::Slow)
    };
    assert_eq!([0, 1, 2, 3, 4].map(blocks_redis), [false, false, true, true, true]);
}

#[test]
fn fault_explains_undecided_requests_until_the_next_reply() {
    let freeze = period(Fault::Freeze, SECOND, 2 * SECOND);
    assert!(is_explained(undecided("open", 4_900 * MILLI), &[freeze]));
    assert!(!is_explained(undecided("open", 5_200 * MILLI), &[freeze]));
    assert!(!is_explained(undecided("open", 900 * MILLI), &[freeze]));
    // After the first reply, the connections of other workers may still be closed.
    let closed = period(Fault::ClientKill, SECOND, 2 * SECOND);
    assert!(is_explained(undecided("open", 5_600 * MILLI), &[closed]));
    assert!(!is_explained(undecided("open", 5_900 * MILLI), &[closed]));
    // A server must first connect to Redis. Therefore requests before the first reply may be undecided.
    let mut connecting = undecided("open", 0);
    connecting.calls.remove(0);
    connecting.requests.remove(0);
    assert!(is_explained(connecting, &[]));
}

#[test]
fn machine_stall_explains_undecided_requests_but_busy_redis_does_not() {
    let probe = |sent, took, redis_ran| Probe {
        sent: START + sent,
        replied: START + sent + took,
        redis_ran,
    };
    let is_explained_with = |second: Probe| {
        let first = probe(1_990 * MILLI, MILLI, Some(MILLI / 10));
        let stalls = stalls(&[first, second]);
        is_explained(History { stalls, ..undecided("open", 2_010 * MILLI) }, &[])
    };
    let at = 2_000 * MILLI;
    assert!(is_explained_with(probe(at, 70 * MILLI, Some(10 * MILLI))));
    assert!(is_explained_with(probe(at, 70 * MILLI, None)));
    assert!(!is_explained_with(probe(at, 50 * MILLI, Some(0))));
    // Redis used the processor for most of this time, because it was busy with commands. Therefore this is not a stall
    // of the machine.
    assert!(!is_explained_with(probe(at, 70 * MILLI, Some(60 * MILLI))));
    // This probe (a `PING` that measures how fast Redis replies) was sent late, because the machine had no processor
    // for it. Therefore this is a stall of the machine too.
    assert!(is_explained_with(probe(at + 60 * MILLI, MILLI, Some(0))));
    assert!(!is_explained_with(probe(at + 40 * MILLI, MILLI, Some(0))));
}

/// Returns whether the judge accepts a server with these admissions for the page `/log`. Each item contains the time
/// of an admission, and whether the server made this decision in memory.
fn is_within_share(admissions: &[(u64, bool)]) -> bool {
    let mut history = History { mode: "open", ..History::default() };
    for (number, (at, is_local)) in (1..).zip(admissions) {
        let source = if *is_local { DecisionSource::Memory } else { DecisionSource::Store };
        history.requests.push(request(number, "/log", *at, source, 200));
        if !is_local {
            history.calls.push(check(number, "log", *at, true));
        }
    }
    let violations = judge_history(history, Vec::new()).violations;
    assert!(violations.keys().all(|it| *it == Violation::Local), "{violations:?}");
    violations.is_empty()
}

#[test]
fn store_admissions_count_in_the_local_share() {
    let (store, local) = (false, true);
    let tenth = 100 * MILLI;
    // The limit is 8 units per second, and there are four servers. Therefore the local share is 2 units per second.
    assert!(is_within_share(&[(0, store), (tenth, local)]));
    assert!(!is_within_share(&[(0, store), (tenth, local), (2 * tenth, local)]));
    assert!(!is_within_share(&[(0, store), (tenth, store), (2 * tenth, local)]));
    assert!(is_within_share(&[(0, store), (tenth, store), (11 * tenth, local)]));
    assert!(is_within_share(&[(0, store), (tenth, store), (2 * tenth, store)]));
    // The third and the fourth admission exceed the local share. Therefore the server does not add these two
    // admissions to its count in memory.
    let full = [(0, store), (tenth, store), (5 * tenth, store), (6 * tenth, store)];
    assert!(is_within_share(&[&full[..], &[(12 * tenth, local)]].concat()));
    // The server may have counted the first admission at its earliest possible time. Then the window does not contain
    // the first admission any more.
    assert!(is_within_share(&[(0, store), (tenth, store), (999 * MILLI, local)]));
}

#[test]
fn local_decision_of_an_unanswered_check_is_no_violation() {
    let mut unanswered = check(1, "each", 0, true);
    unanswered.reply = None;
    let requests = vec![request(1, "/both", 0, DecisionSource::Memory, 429)];
    let calls = vec![unanswered];
    for mode in ["open", "closed", "local"] {
        let (calls, requests) = (calls.clone(), requests.clone());
        let history = History { mode, calls, requests, ..History::default() };
        assert!(
            judge_history(history, vec![period(Fault::Attack, 0, SECOND)]).violations.is_empty()
        );
    }
}

/// Returns the history of a server that denied `denials` requests for `/banned` in memory. After these requests, the
/// store replies that the key is banned for one second.
fn banned_after(denials: u64) -> History {
    let mut history = History { mode: "open", ..History::default() };
    for number in 1..=denials {
        history.requests.push(request(
            number,
            "/banned",
            number * MILLI,
            DecisionSource::Memory,
            429,
        ));
    }
    let (number, at) = (denials + 1, (denials + 1) * MILLI);
    let mut banned = check(number, "banned", at, false);
    banned.reply = banned.reply.map(|reply| StoreReply { banned_for: SECOND, ..reply });
    history.requests.push(request(number, "/banned", at, DecisionSource::Store, 429));
    history.calls.push(banned);
    history
}

#[test]
fn ban_requires_the_denials_of_its_policy() {
    let is_legal = |denials| judge_history(banned_after(denials), Vec::new()).violations.is_empty();
    // The exact start of the ban is not known. Therefore the banned request itself may be one of the offences.
    assert!(is_legal(20) && is_legal(19));
    assert!(!is_legal(18));
}

#[test]
fn admission_during_a_ban_is_a_violation_without_data_loss() {
    let is_violation = |after, losses: &[u64]| {
        let mut history = banned_after(20);
        let at = 21 * MILLI + after;
        history.calls.push(check(99, "banned", at, true));
        history.requests.push(request(99, "/banned", at, DecisionSource::Store, 200));
        let losses = losses.iter().map(|at| START + at).collect();
        let events = StoreEvents { losses, ..StoreEvents::default() };
        judge(vec![history], DEADLINE, &events).violations.contains_key(&Violation::Ban)
    };
    assert!(is_violation(999 * MILLI, &[]));
    assert!(!is_violation(SECOND, &[]));
    assert!(!is_violation(500 * MILLI, &[300 * MILLI]));
    assert!(is_violation(500 * MILLI, &[10 * MILLI]));
}
