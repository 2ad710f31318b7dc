//! Tests that the judge finds more valid permits than the limit, and permits of a killed server that do not come back.

use rateguard_tests::storm::{
    clock::Setting,
    evidence::{History, StoreEvents},
    findings::Violation,
    history::StoreCall,
    samples::Samples,
};

use super::histories::{
    DEADLINE, MILLI, PROCESS, SECOND, START, bucket, denied, failover, findings, grant, losses,
    of_calls, release, renewal, valid, violations, without_reply,
};

fn none() -> StoreEvents {
    StoreEvents::default()
}

fn grants(ids: std::ops::Range<u64>, at: u64) -> Vec<StoreCall> {
    ids.map(|id| grant(id, at + id)).collect()
}

#[test]
fn replies_of_the_store_grant_at_most_the_limit() {
    let judged = |more: Vec<StoreCall>| {
        violations(of_calls([grants(0..4, 10 * MILLI), more].concat()), &none())
    };
    let half = SECOND / 2;
    assert_eq!(judged(vec![]), []);
    assert_eq!(judged(vec![grant(4, half)]), [Violation::Permits]);
    // A released permit can be granted again.
    assert_eq!(judged(vec![release(2, half), grant(4, half + 2 * MILLI)]), []);
    assert_eq!(judged(vec![grant(4, half), release(2, half + 2 * MILLI)]), [Violation::Permits]);
    // A release without a reply may have been executed.
    assert_eq!(judged(vec![without_reply(release(2, half)), grant(4, half + 2 * MILLI)]), []);
    // Without a renewal, a permit ends after one lease.
    assert_eq!(judged(vec![grant(4, 10 * MILLI + SECOND)]), []);
    let renewed = vec![renewal(0, half), grant(4, 20 * MILLI + SECOND)];
    assert_eq!(judged(renewed.clone()), []);
    let all = (0..4).map(|id| renewal(id, half)).chain([grant(4, 20 * MILLI + SECOND)]);
    assert_eq!(judged(all.collect()), [Violation::Permits]);
    let failed = (0..4).map(|id| without_reply(renewal(id, half)));
    assert_eq!(judged(failed.chain([grant(4, 20 * MILLI + SECOND)]).collect()), []);
}

#[test]
fn permits_may_exceed_the_limit_only_after_the_store_lost_them() {
    let (at, again) = (100 * MILLI, 300 * MILLI);
    let history = |more: u64| of_calls([grants(0..4, at), grants(4..4 + more, again)].concat());
    assert_eq!(violations(history(1), &none()), [Violation::Permits]);
    assert_eq!(violations(history(4), &losses(200 * MILLI)), []);
    assert_eq!(violations(history(5), &losses(200 * MILLI)), [Violation::Permits]);
    assert_eq!(violations(history(1), &losses(400 * MILLI)), [Violation::Permits]);
    // A failover loses only the permits of its last moments.
    assert_eq!(violations(history(4), &failover(90 * MILLI, 200 * MILLI)), []);
    assert_eq!(violations(history(5), &failover(90 * MILLI, 200 * MILLI)), [Violation::Permits]);
    assert_eq!(violations(history(1), &failover(150 * MILLI, 200 * MILLI)), [Violation::Permits]);
    // A step forward ends all leases, and a step back ends none.
    let step = |ahead| {
        let settings = vec![Setting { at: START + 200 * MILLI, ahead }];
        let mut calls = history(4).calls;
        for call in calls.iter_mut().filter(|call| call.began > START + 200 * MILLI) {
            let reply = call.reply.as_mut().unwrap();
            reply.at = reply.at.saturating_add_signed(ahead);
        }
        violations(of_calls(calls), &StoreEvents { settings, ..none() })
    };
    assert_eq!(step(3_000_000), []);
    assert_eq!(step(-3_000_000), [Violation::Permits]);
}

#[test]
fn handlers_believe_in_at_most_the_limit() {
    // The store granted the fifth permit after the leases of the other four. Whether that is correct depends on what
    // the handlers of those four believe.
    let history = |until| {
        let calls = [grants(0..4, 10 * MILLI), vec![grant(4, 1_100 * MILLI)]].concat();
        let old = (0..4).flat_map(|id| valid(id, 20 * MILLI, until));
        let polls = old.chain(valid(4, 1_110 * MILLI, 1_600 * MILLI)).collect();
        History { calls, polls, ..History::default() }
    };
    let accepted = findings(history(970 * MILLI), &none());
    assert!(accepted.violations.is_empty(), "{accepted:?}");
    assert_eq!((accepted.held.requests, accepted.held.most), (5, (4, 4)));
    assert_eq!(violations(history(1_500 * MILLI), &none()), [Violation::Permits]);
}

#[test]
fn handler_learns_within_a_lease_that_the_store_lost_its_permit() {
    let history = |until| {
        let calls = vec![grant(0, 10 * MILLI), renewal(0, 300 * MILLI)];
        History { calls, polls: valid(0, 20 * MILLI, until), ..History::default() }
    };
    let loss = losses(400 * MILLI);
    assert_eq!(violations(history(1_270 * MILLI), &loss), []);
    assert_eq!(violations(history(1_570 * MILLI), &loss), [Violation::Permits]);
    // The new primary may still have the permit, which the holder then renews.
    assert_eq!(violations(history(1_570 * MILLI), &failover(350 * MILLI, 400 * MILLI)), []);
}

#[test]
fn samples_of_redis_never_have_more_permits_than_the_limit() {
    let sampled = |policy, events: StoreEvents| {
        let over_limit = vec![(bucket(policy), START + SECOND, 5)];
        let samples = Samples { over_limit, ..Samples::default() };
        violations(History::default(), &StoreEvents { samples, ..events })
    };
    let set_back = || StoreEvents {
        settings: vec![Setting { at: START + SECOND / 2, ahead: -3_000_000 }],
        ..none()
    };
    // Neither a data loss nor a clock step excuses it, because this number is that of Redis itself.
    for events in [none(), losses(SECOND / 2), failover(SECOND / 4, SECOND / 2), set_back()] {
        assert_eq!(sampled("held", events), [Violation::Permits]);
    }
    // Units that have expired count again after a backward step, until the next access corrects them.
    assert_eq!(sampled("hot", losses(SECOND / 2)), [Violation::OverAdmission]);
    assert_eq!(sampled("hot", set_back()), []);
}

#[test]
fn permits_of_a_killed_server_come_back_within_one_lease() {
    let killed = 500 * MILLI;
    let history = |calls| History { killed_at: Some(START + killed), ..of_calls(calls) };
    let in_redis_until = |at: u64, events: StoreEvents| {
        let last_valid = [(PROCESS, START + at)].into_iter().collect();
        let samples = Samples { last_valid, ..Samples::default() };
        let calls = vec![grant(0, 10 * MILLI), renewal(0, 490 * MILLI)];
        violations(history(calls), &StoreEvents { samples, ..events })
    };
    let deadline = DEADLINE.as_micros() as u64;
    // The calls of this history take 2 ms, so the server knows the store's clock with this precision.
    let latest = killed + SECOND + deadline + 2 * MILLI;
    assert_eq!(in_redis_until(latest, none()), []);
    assert_eq!(in_redis_until(latest + 1, none()), [Violation::StrandedPermit]);
    let settings = vec![Setting { at: START + 700 * MILLI, ahead: -3_000_000 }];
    assert_eq!(in_redis_until(latest + 1, StoreEvents { settings, ..none() }), []);
}

#[test]
fn denial_requires_that_all_permits_are_held() {
    let judged = |calls: Vec<StoreCall>| violations(of_calls(calls), &none());
    let denial = |at| denied(grant(99, at));
    let with =
        |granted, denial_at| [grants(0..granted, 10 * MILLI), vec![denial(denial_at)]].concat();
    assert_eq!(judged(with(4, 500 * MILLI)), []);
    assert_eq!(judged(with(3, 500 * MILLI)), [Violation::FalseDenial]);
    // One of the permits came back after a lease without a renewal, or when it was released.
    assert_eq!(judged(with(4, 1_100 * MILLI)), [Violation::FalseDenial]);
    let renewed = |renewal: StoreCall| [with(4, 1_100 * MILLI), vec![renewal]].concat();
    assert_eq!(judged(renewed(renewal(0, 400 * MILLI))), [Violation::FalseDenial]);
    let all_renewed: Vec<_> = (0..4).map(|id| renewal(id, 400 * MILLI)).collect();
    assert_eq!(judged([with(4, 1_100 * MILLI), all_renewed.clone()].concat()), []);
    let released = vec![release(2, 900 * MILLI)];
    assert_eq!(
        judged([with(4, 1_100 * MILLI), all_renewed, released].concat()),
        [Violation::FalseDenial]
    );
    // A check or a renewal without a reply may have been executed.
    let unknown = [with(3, 500 * MILLI), vec![without_reply(grant(3, 400 * MILLI))]].concat();
    let found = findings(of_calls(unknown), &none());
    assert!(found.violations.is_empty() && found.undecidable == 1, "{found:?}");
    let unknown = (0..4).map(|id| without_reply(renewal(id, 400 * MILLI)));
    assert_eq!(judged(with(4, 1_100 * MILLI).into_iter().chain(unknown).collect()), []);
}

#[test]
fn lost_permits_explain_no_denial_and_lost_releases_do() {
    let history = |calls: Vec<StoreCall>| {
        of_calls([grants(0..4, 10 * MILLI), calls, vec![denied(grant(99, 600 * MILLI))]].concat())
    };
    assert_eq!(violations(history(vec![]), &losses(300 * MILLI)), [Violation::FalseDenial]);
    assert_eq!(violations(history(vec![]), &failover(200 * MILLI, 300 * MILLI)), []);
    let released = vec![release(0, 250 * MILLI)];
    assert_eq!(violations(history(released.clone()), &none()), [Violation::FalseDenial]);
    assert_eq!(violations(history(released), &failover(200 * MILLI, 300 * MILLI)), []);
}
