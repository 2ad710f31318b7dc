//! A server in a storm that denies a request without asking for it has to have been told so not long ago.

use std::time::Duration;

use rateguard::store::Operation;
use rateguard_tests::storm::{
    history::{Asked, Bucket, Decided, Part, Request, Said},
    limits::number,
    verdict::{Happened, History, Lie, judge},
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
        said: Some(Said { is_allowed, at: at + MILLI, call: (1, at) }),
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
    let history = History { mode: "open", asked: all, requests };
    let verdict = judge(vec![history], Duration::from_millis(100), &Happened::default());
    !verdict.found.contains_key(&Lie::Request)
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
