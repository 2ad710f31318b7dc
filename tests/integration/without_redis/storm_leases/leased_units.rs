//! Tests that the judge finds windows with more admissions than the limit if leases admit requests, and denials that
//! leased units do not explain.

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    evidence::{History, StoreEvents},
    findings::Violation,
    history::{DecisionSource, Request, StoreCall},
    judge::judge,
};

use super::histories::{
    MILLI, SECOND, call, denied, failover, losses, of_calls, request, violations, with_cost,
    without_reply,
};

/// The limit of `hot` is 200 units in 1 s, with leases of 20 units for 250 ms.
const LIMIT: u64 = 200;

fn none() -> StoreEvents {
    StoreEvents::default()
}

/// Returns requests that a lease admitted, one in each of `count` intervals of 100 µs from the time `at`.
fn leased(count: u64, at: u64) -> Vec<Request> {
    (0..count).map(|number| request("/hot", at + 100 * number, at + 100 * number + 99)).collect()
}

fn history(requests: Vec<Request>) -> History {
    let numbered = |(number, request)| Request { number: 1_000_000 + number as u64, ..request };
    let requests = requests.into_iter().enumerate().map(numbered).collect();
    History { requests, ..History::default() }
}

/// Returns checks that the store admitted, one in each microsecond from the time `at`.
fn by_store(count: u64, at: u64) -> Vec<StoreCall> {
    (0..count).map(|number| call(Operation::Check, "hot", number, at + number)).collect()
}

#[test]
fn window_of_leased_admissions_has_at_most_the_limit() {
    let judged = |requests: Vec<Vec<Request>>| violations(history(requests.concat()), &none());
    assert_eq!(judged(vec![leased(LIMIT, 0), leased(LIMIT, SECOND)]), []);
    assert_eq!(judged(vec![leased(LIMIT + 1, 0)]), [Violation::OverAdmission]);
    assert_eq!(judged(vec![leased(LIMIT, 0), leased(1, 900 * MILLI)]), [Violation::OverAdmission]);
    // The first request may have been admitted before the window, or the last one after it.
    let long = |from, until| vec![request("/hot", from, until)];
    let rest = || leased(LIMIT - 1, 500 * MILLI);
    assert_eq!(judged(vec![long(0, SECOND), rest(), long(990 * MILLI, 1_001 * MILLI)]), []);
    assert_eq!(
        judged(vec![long(400 * MILLI, 401 * MILLI), rest(), long(990 * MILLI, 1_001 * MILLI)]),
        [Violation::OverAdmission]
    );
}

#[test]
fn admissions_by_the_store_and_by_leases_of_all_servers_are_added_up() {
    let servers = |leased_units| {
        let of_store = by_store(150, 0);
        let named = Request { number: 0, source: DecisionSource::Store, ..request("/hot", 0, 1) };
        let of_store = History { requests: vec![named], ..of_calls(of_store) };
        let found = judge(
            vec![of_store, history(leased(leased_units, 300 * MILLI))],
            super::histories::DEADLINE,
            &none(),
        );
        found.violations.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(servers(50), []);
    assert_eq!(servers(51), [Violation::OverAdmission]);
}

#[test]
fn data_loss_permits_one_additional_limit_of_leased_units() {
    let judged = |before, after, events: &StoreEvents| {
        let requests = [leased(before, 0), leased(after, 600 * MILLI)].concat();
        violations(history(requests), events)
    };
    let loss = losses(100 * MILLI);
    assert_eq!(judged(LIMIT, LIMIT, &none()), [Violation::OverAdmission]);
    assert_eq!(judged(LIMIT, LIMIT, &loss), []);
    assert_eq!(judged(LIMIT, LIMIT + 1, &loss), [Violation::OverAdmission]);
    assert_eq!(judged(LIMIT + 1, LIMIT - 1, &loss), [Violation::OverAdmission]);
    // Units of open leases are used for one lease after the loss, in addition to all new ones.
    let late = losses(500 * MILLI);
    assert_eq!(judged(LIMIT, LIMIT, &late), []);
    assert_eq!(judged(LIMIT + 1, LIMIT, &late), [Violation::OverAdmission]);
    // The window begins long after the loss.
    let early = StoreEvents { losses: vec![super::histories::START - SECOND], ..none() };
    assert_eq!(judged(LIMIT, LIMIT, &early), [Violation::OverAdmission]);
}

#[test]
fn failover_loses_only_the_last_leases() {
    let judged = |before, lost, after, events: &StoreEvents| {
        let requests = [leased(before, 0), leased(lost, 500 * MILLI), leased(after, 900 * MILLI)];
        violations(history(requests.concat()), events)
    };
    let lost_last = failover(480 * MILLI, 550 * MILLI);
    assert_eq!(judged(100, 100, 1, &none()), [Violation::OverAdmission]);
    assert_eq!(judged(100, 100, 100, &lost_last), []);
    // The replica had the first 100 units.
    assert_eq!(judged(100, 100, 101, &lost_last), [Violation::OverAdmission]);
}

#[test]
fn leased_units_explain_denials_while_they_count() {
    let lease = |units, at| with_cost(call(Operation::Lease, "hot", 500, at), units);
    let returned = |used, at| with_cost(call(Operation::Return, "hot", 500, at), used);
    let judged = |calls: Vec<StoreCall>, denied_at| {
        let denial = denied(call(Operation::Check, "hot", 999, denied_at));
        violations(of_calls([by_store(180, 0), calls, vec![denial]].concat()), &none())
    };
    let half = 500 * MILLI;
    assert_eq!(judged(vec![lease(20, 200 * MILLI)], half), []);
    assert_eq!(judged(vec![lease(19, 200 * MILLI)], half), [Violation::FalseDenial]);
    assert_eq!(judged(vec![without_reply(lease(20, 200 * MILLI))], half), []);
    // After the return, only the used units count.
    let early = 300 * MILLI;
    assert_eq!(judged(vec![lease(20, 200 * MILLI), returned(20, early)], half), []);
    assert_eq!(
        judged(vec![lease(20, 200 * MILLI), returned(19, early)], half),
        [Violation::FalseDenial]
    );
    let unknown = without_reply(returned(19, early));
    assert_eq!(judged(vec![lease(20, 200 * MILLI), unknown], half), []);
    // The units of a lease that is not returned count until one window after its end, and no longer.
    let only_leases = |denied_at| {
        let leases = (0..10).map(|id| with_cost(call(Operation::Lease, "hot", id, id), 20));
        let denial = denied(call(Operation::Check, "hot", 999, denied_at));
        violations(of_calls(leases.chain([denial]).collect()), &none())
    };
    assert_eq!(only_leases(1_249 * MILLI), []);
    assert_eq!(only_leases(1_251 * MILLI), [Violation::FalseDenial]);
}

#[test]
fn lease_admits_only_requests_of_a_limit_with_a_lease() {
    let judged = |request| violations(history(vec![request]), &none());
    assert_eq!(judged(request("/hot", 0, 1)), []);
    assert_eq!(judged(request("/log", 0, 1)), [Violation::Request]);
    assert_eq!(judged(Request { status: 429, ..request("/hot", 0, 1) }), [Violation::Request]);
}
