//! A server in a storm that denies a request without asking for it has to have been told so not long ago.

use std::time::Duration;

use rateguard::store::Operation;
use rateguard_tests::storm::{
    history::{Asked, Bucket, Decided, Part, Request, Said},
    limits::number,
    verdict::{Happened, History, Violation, judge},
};

const MILLI: u64 = 1_000;
const START: u64 = 1_800_000_000_000_000;

/// What was asked for the request of this number, which is done in two milliseconds.
fn asked(request: u64, operation: Operation, at: u64, is_allowed: bool) -> Asked {
    let bucket = Bucket { policy: number("log").unwrap(), place: 0, key: 7 };
    let at = START + at;
    let reset_after = 600 * MILLI;
    Asked {
        request,
        operation,
        began: at,
        ended: at + 2 * MILLI,
        said: Some(Said { is_allowed, at: at + MILLI, call: (1, at), banned_for: 0 }),
        cause: String::new(),
        parts: vec![Part { bucket, cost: 1, reset_after, taken_by: (0, 0) }],
    }
}

/// A request that came then and took three milliseconds.
fn request(number: u64, at: u64, status: u16) -> Request {
    let came = START + at;
    let client = "client".to_owned();
    let decided = Decided::Together;
    Request { number, came, went: came + 3 * MILLI, page: 0, client, cost: 1, status, decided }
}

/// Whether this is believed: a denial at the time 0, what else was asked, and a last request that was denied unasked.
fn is_believed(others: Option<(Request, Vec<Asked>)>, last: Request, reset_after: u64) -> bool {
    let mut denial = asked(1, Operation::Check, 0, false);
    denial.parts[0].reset_after = reset_after;
    let (mut requests, mut all) = (vec![request(1, 0, 429)], vec![denial]);
    if let Some((request, asked)) = others {
        requests.push(request);
        all.extend(asked);
    }
    requests.push(last);
    let history = History { mode: "open", asked: all, requests, ..History::default() };
    let verdict = judge(vec![history], Duration::from_millis(100), &Happened::default());
    !verdict.found.contains_key(&Violation::Request)
}

#[test]
fn a_denial_may_be_remembered_for_the_stated_time_and_no_longer() {
    let after = |at| is_believed(None, request(2, at, 429), 600 * MILLI);
    assert!(after(MILLI) && after(250 * MILLI - 1));
    assert!(!after(250 * MILLI));
    // Nor longer than until there may be room.
    let after = |at| is_believed(None, request(2, at, 429), 90 * MILLI);
    assert!(after(90 * MILLI - 1) && !after(90 * MILLI));
}

#[test]
fn it_is_of_the_same_client_page_and_cost_and_not_of_the_future() {
    let last = || request(2, 50 * MILLI, 429);
    for last in [
        Request { client: "other".to_owned(), ..last() },
        Request { cost: 2, ..last() },
        Request { page: 1, ..last() },
        Request { came: START - 9 * MILLI, went: START, ..last() },
    ] {
        assert!(!is_believed(None, last, 600 * MILLI));
    }
    assert!(is_believed(None, last(), 600 * MILLI));
    // An admission is none from memory.
    assert!(!is_believed(None, Request { status: 200, ..last() }, 600 * MILLI));
}

#[test]
fn what_the_server_has_changed_itself_it_has_not_forgotten() {
    let last = |at| request(2, at, 429);
    let check = |is_allowed, status| {
        let asked = asked(3, Operation::Check, 10 * MILLI, is_allowed);
        Some((request(3, 10 * MILLI, status), vec![asked]))
    };
    assert!(is_believed(check(false, 429), last(20 * MILLI), 600 * MILLI));
    let unanswered = check(true, 200).map(|(request, mut asked)| {
        asked[0].said = None;
        (Request { decided: Decided::Locally, ..request }, asked)
    });
    // What it may have taken makes no room.
    assert!(is_believed(unanswered, last(20 * MILLI), 600 * MILLI));
    assert!(!is_believed(check(true, 200), last(20 * MILLI), 600 * MILLI));
    // It was under way.
    assert!(is_believed(check(true, 200), last(12 * MILLI), 600 * MILLI));

    // What was taken before the denial was given back after it.
    let refund = || {
        let mut taken = asked(3, Operation::Check, 0, true);
        (taken.began, taken.ended) = (START - 5 * MILLI, START - 3 * MILLI);
        let given_back = asked(3, Operation::Refund, 10 * MILLI, true);
        let request = Request { came: START - 6 * MILLI, ..request(3, 10 * MILLI, 204) };
        Some((request, vec![taken, given_back]))
    };
    assert!(!is_believed(refund(), last(20 * MILLI), 600 * MILLI));
    assert!(is_believed(refund(), last(12 * MILLI), 600 * MILLI));
}

#[test]
fn an_unanswered_check_may_be_denied_by_a_denial_that_arrived_meanwhile() {
    let denied_late = |asked_at, request_at| {
        let mut check = asked(2, Operation::Check, request_at, true);
        check.said = None;
        let denial = asked(1, Operation::Check, asked_at, false);
        let requests = vec![request(1, asked_at, 429), request(2, request_at, 429)];
        let asked = vec![denial, check];
        let history = History { mode: "open", asked, requests, ..History::default() };
        let verdict = judge(vec![history], Duration::from_millis(100), &Happened::default());
        !verdict.found.contains_key(&Violation::Request)
    };
    assert!(denied_late(MILLI, 0));
    assert!(!denied_late(2 * MILLI, 0));
}

#[test]
fn no_denial_of_several_keys_is_remembered() {
    let mut denial = asked(1, Operation::Check, 0, false);
    let other = Part { bucket: Bucket { key: 8, ..denial.parts[0].bucket }, ..denial.parts[0] };
    denial.parts.push(other);
    let requests = vec![request(1, 0, 429), request(2, MILLI, 429)];
    let history = History { mode: "open", asked: vec![denial], requests, ..History::default() };
    let verdict = judge(vec![history], Duration::from_millis(100), &Happened::default());
    assert!(verdict.found.contains_key(&Violation::Request));
}
