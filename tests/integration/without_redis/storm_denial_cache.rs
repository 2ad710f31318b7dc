//! Tests the storm judge, which decides whether servers behaved correctly in a storm (a test that injects random
//! faults). It must accept a denial without a store call only if the denial cache of the server can explain the denial.

use std::time::Duration;

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    evidence::{History, StoreEvents},
    findings::Violation,
    history::{Bucket, DecisionSource, Part, Request, StoreCall, StoreReply},
    judge::judge,
    limits::policy_index,
};

const MILLI: u64 = 1_000;
const START: u64 = 1_800_000_000_000_000;

/// Returns a store call for the HTTP request with this number. The call began `at` microseconds after [`START`] and
/// took two milliseconds.
fn call(request: u64, operation: Operation, at: u64, is_allowed: bool) -> StoreCall {
    let bucket = Bucket { policy: policy_index("log").unwrap(), quota_index: 0, key: 7 };
    let at = START + at;
    let reset_after = 600 * MILLI;
    StoreCall {
        request,
        operation,
        began: at,
        ended: at + 2 * MILLI,
        reply: Some(StoreReply { is_allowed, at: at + MILLI, receipt: (1, at), banned_for: 0 }),
        error: String::new(),
        parts: vec![Part { bucket, cost: 1, reset_after, refund_of: (0, 0) }],
    }
}

/// Returns an HTTP request that arrived `at` microseconds after [`START`]. The response was sent three milliseconds
/// after that.
fn request(number: u64, at: u64, status: u16) -> Request {
    let received_at = START + at;
    let client = "client".to_owned();
    let source = DecisionSource::Store;
    Request {
        number,
        received_at,
        responded_at: received_at + 3 * MILLI,
        page: 0,
        client,
        cost: 1,
        status,
        source,
    }
}

/// Returns whether the judge accepts the response to the request `last`, for which there is no store call. At the
/// time 0, the store denied a check of the client that sends `last`. `others` contains a different request and its
/// store calls, which may have changed the bucket.
fn is_accepted(others: Option<(Request, Vec<StoreCall>)>, last: Request, reset_after: u64) -> bool {
    let mut denial = call(1, Operation::Check, 0, false);
    denial.parts[0].reset_after = reset_after;
    let (mut requests, mut all) = (vec![request(1, 0, 429)], vec![denial]);
    if let Some((request, calls)) = others {
        requests.push(request);
        all.extend(calls);
    }
    requests.push(last);
    let history = History { mode: "open", calls: all, requests, ..History::default() };
    let findings = judge(vec![history], Duration::from_millis(100), &StoreEvents::default());
    !findings.violations.contains_key(&Violation::Request)
}

#[test]
fn judge_accepts_cached_denials_until_they_expire() {
    let after = |at| is_accepted(None, request(2, at, 429), 600 * MILLI);
    assert!(after(MILLI) && after(250 * MILLI - 1));
    assert!(!after(250 * MILLI));
    // A cached denial expires when the denied bucket may have room again.
    let after = |at| is_accepted(None, request(2, at, 429), 90 * MILLI);
    assert!(after(90 * MILLI - 1) && !after(90 * MILLI));
}

#[test]
fn judge_accepts_cached_denials_only_for_the_same_check() {
    let last = || request(2, 50 * MILLI, 429);
    for last in [
        Request { client: "other".to_owned(), ..last() },
        Request { cost: 2, ..last() },
        Request { page: 1, ..last() },
        Request { received_at: START - 9 * MILLI, responded_at: START, ..last() },
    ] {
        assert!(!is_accepted(None, last, 600 * MILLI));
    }
    assert!(is_accepted(None, last(), 600 * MILLI));
    // The denial cache contains only denials. Therefore it cannot explain that a request was admitted.
    assert!(!is_accepted(None, Request { status: 200, ..last() }, 600 * MILLI));
}

#[test]
fn judge_rejects_cached_denials_after_a_change_of_the_bucket() {
    let last = |at| request(2, at, 429);
    let check = |is_allowed, status| {
        let call = call(3, Operation::Check, 10 * MILLI, is_allowed);
        Some((request(3, 10 * MILLI, status), vec![call]))
    };
    assert!(is_accepted(check(false, 429), last(20 * MILLI), 600 * MILLI));
    let unanswered = check(true, 200).map(|(request, mut calls)| {
        calls[0].reply = None;
        (Request { source: DecisionSource::Memory, ..request }, calls)
    });
    // A check without a reply can take units, but it cannot free units. Therefore the cached denial stays valid.
    assert!(is_accepted(unanswered, last(20 * MILLI), 600 * MILLI));
    assert!(!is_accepted(check(true, 200), last(20 * MILLI), 600 * MILLI));
    // At 12 ms, the server may not have processed the reply of the store yet. Therefore it may still use the cached
    // denial.
    assert!(is_accepted(check(true, 200), last(12 * MILLI), 600 * MILLI));

    // The refund happens after the denial. It returns units that a check had taken before the denial.
    let refund = || {
        let mut taken = call(3, Operation::Check, 0, true);
        (taken.began, taken.ended) = (START - 5 * MILLI, START - 3 * MILLI);
        let returned = call(3, Operation::Refund, 10 * MILLI, true);
        let request = Request { received_at: START - 6 * MILLI, ..request(3, 10 * MILLI, 204) };
        Some((request, vec![taken, returned]))
    };
    assert!(!is_accepted(refund(), last(20 * MILLI), 600 * MILLI));
    assert!(is_accepted(refund(), last(12 * MILLI), 600 * MILLI));
}

#[test]
fn judge_accepts_a_newer_denial_for_an_unanswered_check() {
    let is_late_denial_accepted = |denial_at, request_at| {
        let mut check = call(2, Operation::Check, request_at, true);
        check.reply = None;
        let denial = call(1, Operation::Check, denial_at, false);
        let requests = vec![request(1, denial_at, 429), request(2, request_at, 429)];
        let calls = vec![denial, check];
        let history = History { mode: "open", calls, requests, ..History::default() };
        let findings = judge(vec![history], Duration::from_millis(100), &StoreEvents::default());
        !findings.violations.contains_key(&Violation::Request)
    };
    assert!(is_late_denial_accepted(MILLI, 0));
    assert!(!is_late_denial_accepted(2 * MILLI, 0));
}

#[test]
fn judge_accepts_no_cached_denial_of_several_keys() {
    let mut denial = call(1, Operation::Check, 0, false);
    let other = Part { bucket: Bucket { key: 8, ..denial.parts[0].bucket }, ..denial.parts[0] };
    denial.parts.push(other);
    let requests = vec![request(1, 0, 429), request(2, MILLI, 429)];
    let history = History { mode: "open", calls: vec![denial], requests, ..History::default() };
    let findings = judge(vec![history], Duration::from_millis(100), &StoreEvents::default());
    assert!(findings.violations.contains_key(&Violation::Request));
}
