//! The judge of storms under attack: load is no excuse for a request that no limit decides, and a real fault is.

use rateguard::store::Operation;
use rateguard_tests::storm::{
    history::{Asked, Bucket, Decided, Part, Request, Said},
    limits::{PAGES, number},
    outages::FaultPeriod,
    probes::{Probe, stalls},
    schedule::{Fault, Step},
    verdict::{Happened, History, Verdict, Violation, judge},
};

const DEADLINE: std::time::Duration = std::time::Duration::from_millis(100);
const MILLI: u64 = 1_000;
const SECOND: u64 = 1_000 * MILLI;
/// A round number of microseconds since 1970.
const START: u64 = 1_800_000_000_000_000;

fn page(path: &str) -> usize {
    PAGES.iter().position(|page| page.path == path).unwrap()
}

/// A request that came at this time after the start, and took two milliseconds.
fn request(number: u64, path: &str, at: u64, decided: Decided, status: u16) -> Request {
    let came = START + at;
    let (client, page) = ("attacker".to_owned(), page(path));
    Request { number, came, went: came + 2 * MILLI, page, client, cost: 1, status, decided }
}

/// The check of such a request, which took a millisecond.
fn check(request: u64, policy: &str, at: u64, is_allowed: bool) -> Asked {
    let at = START + at;
    let bucket = Bucket { policy: number(policy).unwrap(), place: 0, key: 7 };
    Asked {
        request,
        operation: Operation::Check,
        began: at,
        ended: at + MILLI,
        said: Some(Said { is_allowed, at: at + MILLI / 2, call: (1, request), banned_for: 0 }),
        cause: String::new(),
        parts: vec![Part { bucket, cost: 1, reset_after: 0, taken_by: (0, 0) }],
    }
}

fn period(fault: Fault, from: u64, until: u64) -> FaultPeriod {
    let is_outage = step(fault, 0).is_outage(fault);
    FaultPeriod { fault, is_outage, from: START + from, until: START + until }
}

fn step(fault: Fault, choice: usize) -> Step {
    let (lasts, calm) = (DEADLINE, DEADLINE);
    Step { faults: vec![fault], lasts, calm, choice }
}

fn judged(history: History, faults: Vec<FaultPeriod>) -> Verdict {
    judge(vec![history], DEADLINE, &Happened { faults, ..Happened::default() })
}

/// A server that had answers after 0 and 5 seconds, and another request that came at this time and was undecided.
fn undecided(mode: &'static str, at: u64) -> History {
    let answered =
        [(1, 0), (2, 5 * SECOND)].map(|(number, at)| (number, check(number, "log", at, true), at));
    let mut requests: Vec<_> = answered
        .iter()
        .map(|(number, _, at)| request(*number, "/log", *at, Decided::Together, 200))
        .collect();
    let status = if mode == "closed" { 503 } else { 200 };
    requests.push(request(3, "/log", at, Decided::Nobody, status));
    let asked = answered.into_iter().map(|(_, check, _)| check).collect();
    History { mode, asked, requests, ..History::default() }
}

fn is_excused(history: History, faults: &[FaultPeriod]) -> bool {
    let found = judged(history, faults.to_vec()).found;
    assert!(found.keys().all(|it| *it == Violation::Undecided), "{found:?}");
    found.is_empty()
}

#[test]
fn an_undecided_request_under_attack_is_a_violation_without_another_fault() {
    let attack = period(Fault::Attack, SECOND, 3 * SECOND);
    for mode in ["open", "closed"] {
        let history = || undecided(mode, 2 * SECOND);
        assert!(!is_excused(history(), &[]));
        assert!(!is_excused(history(), &[attack]));
        let freeze = period(Fault::Freeze, 1_900 * MILLI, 2_100 * MILLI);
        assert!(is_excused(history(), &[attack, freeze]));
        assert!(!is_excused(history(), &[attack, period(Fault::Freeze, 3 * SECOND, 4 * SECOND)]));
    }
}

#[test]
fn a_server_without_memory_or_with_a_busy_script_is_no_excuse() {
    for fault in [Fault::Memory, Fault::Busy, Fault::ScriptFlush] {
        assert!(!is_excused(undecided("open", 2 * SECOND), &[period(fault, 0, 3 * SECOND)]));
    }
    for fault in [Fault::KillKept, Fault::Password, Fault::Replica, Fault::PauseWrites] {
        assert!(is_excused(undecided("open", 2 * SECOND), &[period(fault, 0, 3 * SECOND)]));
    }
}

#[test]
fn a_fault_of_the_network_excuses_proxied_servers_alone() {
    let still = period(Fault::Still, SECOND, 3 * SECOND);
    let direct = undecided("open", 2 * SECOND);
    assert!(!is_excused(direct, &[still]));
    let proxied = History { is_proxied: true, ..undecided("open", 2 * SECOND) };
    assert!(is_excused(proxied, &[still]));
}

#[test]
fn a_slow_network_is_an_outage_if_its_delay_uses_up_the_deadline() {
    let is_outage = |choice| {
        let step = step(Fault::Slow, choice);
        assert_eq!(step.is_outage(Fault::Slow), 4 * step.delay() > DEADLINE / 2, "{step:?}");
        step.is_outage(Fault::Slow)
    };
    assert_eq!([0, 1, 2, 3, 4].map(is_outage), [false, false, true, true, true]);
}

#[test]
fn a_fault_excuses_until_the_server_has_an_answer_again() {
    let freeze = period(Fault::Freeze, SECOND, 2 * SECOND);
    assert!(is_excused(undecided("open", 4_900 * MILLI), &[freeze]));
    assert!(!is_excused(undecided("open", 5_200 * MILLI), &[freeze]));
    assert!(!is_excused(undecided("open", 900 * MILLI), &[freeze]));
    // Before its first answer, a server connects.
    let mut connecting = undecided("open", 0);
    connecting.asked.remove(0);
    connecting.requests.remove(0);
    assert!(is_excused(connecting, &[]));
}

#[test]
fn a_stall_of_the_machine_excuses_and_a_busy_server_does_not() {
    let probe = |sent, took, redis_ran| Probe {
        sent: START + sent,
        answered: START + sent + took,
        redis_ran,
    };
    let stalled = |second: Probe| {
        let first = probe(1_990 * MILLI, MILLI, Some(MILLI / 10));
        let stalls = stalls(&[first, second]);
        is_excused(History { stalls, ..undecided("open", 2_010 * MILLI) }, &[])
    };
    let at = 2_000 * MILLI;
    assert!(stalled(probe(at, 70 * MILLI, Some(10 * MILLI))));
    assert!(stalled(probe(at, 70 * MILLI, None)));
    assert!(!stalled(probe(at, 50 * MILLI, Some(0))));
    // It was there, and busy with what it was sent.
    assert!(!stalled(probe(at, 70 * MILLI, Some(60 * MILLI))));
    // The probe itself came late.
    assert!(stalled(probe(at + 60 * MILLI, MILLI, Some(0))));
    assert!(!stalled(probe(at + 40 * MILLI, MILLI, Some(0))));
}

/// Whether it is legal that a server has these requests for `/log` at these times: admitted by the store, or in memory.
fn is_within_share(admissions: &[(u64, bool)]) -> bool {
    let mut history = History { mode: "open", ..History::default() };
    for (number, (at, is_local)) in (1..).zip(admissions) {
        let decided = if *is_local { Decided::Locally } else { Decided::Together };
        history.requests.push(request(number, "/log", *at, decided, 200));
        if !is_local {
            history.asked.push(check(number, "log", *at, true));
        }
    }
    let found = judged(history, Vec::new()).found;
    assert!(found.keys().all(|it| *it == Violation::Local), "{found:?}");
    found.is_empty()
}

#[test]
fn what_the_store_admits_counts_in_the_share_of_the_process() {
    let (store, local) = (false, true);
    let tenth = 100 * MILLI;
    // A quarter of eight in a second.
    assert!(is_within_share(&[(0, store), (tenth, local)]));
    assert!(!is_within_share(&[(0, store), (tenth, local), (2 * tenth, local)]));
    assert!(!is_within_share(&[(0, store), (tenth, store), (2 * tenth, local)]));
    assert!(is_within_share(&[(0, store), (tenth, store), (11 * tenth, local)]));
    assert!(is_within_share(&[(0, store), (tenth, store), (2 * tenth, store)]));
    // The third and fourth found no room in memory, and are not counted there.
    let full = [(0, store), (tenth, store), (5 * tenth, store), (6 * tenth, store)];
    assert!(is_within_share(&[&full[..], &[(12 * tenth, local)]].concat()));
    // As early as possible, the first one has left the window.
    assert!(is_within_share(&[(0, store), (tenth, store), (999 * MILLI, local)]));
}

#[test]
fn an_unanswered_check_that_is_decided_in_memory_is_no_violation() {
    let mut unanswered = check(1, "each", 0, true);
    unanswered.said = None;
    let requests = vec![request(1, "/both", 0, Decided::Locally, 429)];
    let asked = vec![unanswered];
    for mode in ["open", "closed", "local"] {
        let (asked, requests) = (asked.clone(), requests.clone());
        let history = History { mode, asked, requests, ..History::default() };
        assert!(judged(history, vec![period(Fault::Attack, 0, SECOND)]).found.is_empty());
    }
}

/// A server that denied this many requests for `/banned`, in memory, and then one that the store says is banned for a second.
fn banned_after(denials: u64) -> History {
    let mut history = History { mode: "open", ..History::default() };
    for number in 1..=denials {
        history.requests.push(request(number, "/banned", number * MILLI, Decided::Locally, 429));
    }
    let (number, at) = (denials + 1, (denials + 1) * MILLI);
    let mut banned = check(number, "banned", at, false);
    banned.said = banned.said.map(|said| Said { banned_for: SECOND, ..said });
    history.requests.push(request(number, "/banned", at, Decided::Together, 429));
    history.asked.push(banned);
    history
}

#[test]
fn a_ban_needs_as_many_denials_as_its_policy_says() {
    let is_legal = |denials| judged(banned_after(denials), Vec::new()).found.is_empty();
    // The banned request may be an offence of its own, as it is not known when exactly the ban began.
    assert!(is_legal(20) && is_legal(19));
    assert!(!is_legal(18));
}

#[test]
fn nothing_is_admitted_during_a_ban_unless_data_is_lost() {
    let found = |after, losses: &[u64]| {
        let mut history = banned_after(20);
        let at = 21 * MILLI + after;
        history.asked.push(check(99, "banned", at, true));
        history.requests.push(request(99, "/banned", at, Decided::Together, 200));
        let losses = losses.iter().map(|at| START + at).collect();
        let happened = Happened { losses, ..Happened::default() };
        judge(vec![history], DEADLINE, &happened).found.contains_key(&Violation::Ban)
    };
    assert!(found(999 * MILLI, &[]));
    assert!(!found(SECOND, &[]));
    assert!(!found(500 * MILLI, &[300 * MILLI]));
    assert!(found(500 * MILLI, &[10 * MILLI]));
}
