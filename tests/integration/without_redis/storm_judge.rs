//! Tests the storm judge, which decides whether servers behaved correctly in a storm (a test that injects random
//! faults). The judge must find every violation in a history, and it must accept every history that a correct store
//! can produce.

use std::time::Duration;

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    clock::Setting,
    evidence::{History, StoreEvents},
    findings::{Findings, Violation},
    history::{Bucket, DecisionSource, Part, Record, Request, StoreCall, StoreReply},
    judge::judge,
    limits::{LIMITS, PAGES, policy_index, quota},
    schedule::{Fault, steps},
};

use crate::support::rates::assert_has_every_algorithm;

const DEADLINE: Duration = Duration::from_millis(100);
const MILLI: u64 = 1_000;
/// The start of each history: a number of microseconds far from 0. A window of the sliding-window counter begins at
/// this time.
const START: u64 = 1_800_000_000_000_000;

/// Returns the rates of a policy.
fn rates(policy: &str) -> &'static str {
    let (_, rates) = LIMITS[policy_index(policy).unwrap()];
    rates
}

fn parts(policy: &str, cost: u32) -> Vec<Part> {
    let policy = policy_index(policy).unwrap();
    let quota_indexes = (0..).take_while(|quota_index| quota(policy, *quota_index).is_some());
    let part = |quota_index| {
        let bucket = Bucket { policy, quota_index, key: 7 };
        Part { bucket, cost, reset_after: 0, refund_of: (0, 0) }
    };
    quota_indexes.map(part).collect()
}

/// Returns a check to which the store replied at the time `at`, in microseconds after the start.
fn check(policy: &str, cost: u32, at: u64, is_allowed: bool) -> StoreCall {
    let at = START + at;
    StoreCall {
        request: 0,
        operation: Operation::Check,
        began: at - MILLI,
        ended: at + MILLI,
        reply: Some(StoreReply { is_allowed, at, receipt: (1, at), banned_for: 0 }),
        error: String::new(),
        parts: parts(policy, cost),
    }
}

fn admitted(policy: &str, at: u64) -> StoreCall {
    check(policy, 1, at, true)
}

fn denied(policy: &str, at: u64) -> StoreCall {
    check(policy, 1, at, false)
}

/// Returns a check to which the store did not reply. The check ended at its deadline.
fn unanswered(policy: &str, at: u64) -> StoreCall {
    let call = check(policy, 1, at, true);
    let error = "Timeout".to_owned();
    StoreCall { reply: None, error, ended: call.began + 100 * MILLI, ..call }
}

/// Returns a refund of the units that the check `taken` took.
fn refund(taken: &StoreCall, at: u64) -> StoreCall {
    let mut refund = check("refund", 1, at, true);
    refund.operation = Operation::Refund;
    refund.parts[0].refund_of = taken.reply.unwrap().receipt;
    refund
}

/// Returns `count` admitted checks, one in each microsecond.
fn burst(policy: &str, count: u64, at: u64) -> Vec<StoreCall> {
    (0..count).map(|number| admitted(policy, at + number)).collect()
}

/// Changes the replies to these checks so that their fixed window ends at the time `end`.
fn with_window_end(mut calls: Vec<StoreCall>, end: u64) -> Vec<StoreCall> {
    for call in &mut calls {
        call.parts[0].reset_after = START + end - call.reply.unwrap().at;
    }
    calls
}

/// Judges the histories of several servers. Each item of `calls` is the list of store calls of one server. At each
/// time in `losses`, the store lost its data.
fn judge_calls(calls: Vec<Vec<StoreCall>>, losses: &[u64]) -> Findings {
    let history = |calls| History { mode: "open", calls, ..History::default() };
    let losses = losses.iter().map(|loss| START + loss).collect();
    let events = StoreEvents { losses, ..StoreEvents::default() };
    judge(calls.into_iter().map(history).collect(), DEADLINE, &events)
}

#[track_caller]
fn assert_accepted(calls: Vec<StoreCall>) -> Findings {
    let findings = judge_calls(vec![calls], &[]);
    assert!(findings.violations.is_empty(), "{findings:?}");
    findings
}

#[track_caller]
fn assert_violation(violation: Violation, calls: Vec<StoreCall>) {
    let violations = judge_calls(vec![calls], &[]).violations;
    assert_eq!(violations.keys().collect::<Vec<_>>(), [&violation]);
}

#[test]
fn log_admits_its_limit_in_each_window() {
    let second = 1_000 * MILLI;
    assert_accepted([burst("log", 8, 0), burst("log", 8, second)].concat());
    assert_violation(Violation::OverAdmission, burst("log", 9, 0));
    assert_violation(
        Violation::OverAdmission,
        [burst("log", 8, 0), burst("log", 1, second - 1)].concat(),
    );
    // Two servers recorded these calls. The judge must add up the calls of both servers.
    let violations = judge_calls(vec![burst("log", 5, 0), burst("log", 4, 100)], &[]).violations;
    assert!(violations.contains_key(&Violation::OverAdmission));
}

#[test]
fn limits_count_units_instead_of_requests() {
    let costly = |cost, at| check("costs", cost, at, true);
    assert_accepted(vec![costly(10, 0), costly(10, 1)]);
    assert_violation(Violation::OverAdmission, vec![costly(10, 0), costly(10, 1), costly(1, 2)]);
}

#[test]
fn each_of_several_quotas_is_checked() {
    let burst = |count, at| burst("several", count, at);
    assert_accepted([burst(5, 0), burst(5, 600 * MILLI)].concat());
    assert_violation(Violation::OverAdmission, burst(6, 0));
    let third = burst(3, 1_200 * MILLI);
    assert_violation(
        Violation::OverAdmission,
        [burst(5, 0), burst(5, 600 * MILLI), third].concat(),
    );
}

#[test]
fn fixed_windows_admit_their_limit_and_do_not_overlap() {
    let burst = |count, at| burst("fixed", count, at);
    let (end, next) = (1_000 * MILLI, 2_500 * MILLI);
    assert_accepted(
        [with_window_end(burst(6, 0), end), with_window_end(burst(6, 1_500 * MILLI), next)]
            .concat(),
    );
    assert_violation(Violation::OverAdmission, with_window_end(burst(7, 0), end));
    let overlapping = with_window_end(burst(6, 900 * MILLI), 1_900 * MILLI);
    assert_violation(
        Violation::OverAdmission,
        [with_window_end(burst(6, 0), end), overlapping].concat(),
    );
    // The window ended at the time of this call. Therefore the store may not admit the call in this window.
    assert_violation(Violation::OverAdmission, with_window_end(burst(1, 1_000 * MILLI), end));
}

#[test]
fn token_bucket_admits_its_burst_and_refilled_tokens() {
    let burst = |count, at| burst("bucket", count, at);
    assert_accepted([burst(5, 0), burst(1, 100 * MILLI), burst(1, 200 * MILLI)].concat());
    assert_violation(Violation::OverAdmission, burst(6, 0));
    assert_violation(Violation::OverAdmission, [burst(5, 0), burst(1, 100 * MILLI - 1)].concat());
}

#[test]
fn counter_admits_its_limit_minus_the_weighted_previous_window() {
    let burst = |count, at| burst("counter", count, at);
    let window = 800 * MILLI;
    assert_accepted([burst(9, 0), burst(4, window * 3 / 2)].concat());
    assert_violation(Violation::OverAdmission, burst(10, 0));
    assert_violation(Violation::OverAdmission, [burst(9, 0), burst(5, window * 3 / 2)].concat());
    // Two windows after the first calls, the store does not count these calls any more.
    assert_accepted([burst(9, 0), burst(9, 2 * window)].concat());
}

#[test]
fn refunded_units_may_be_admitted_again() {
    let taken = burst("refund", 6, 0);
    let refunded = refund(&taken[2], 100);
    let again = admitted("refund", 200);
    assert_violation(Violation::OverAdmission, [taken.clone(), vec![again.clone()]].concat());
    assert_accepted([taken.clone(), vec![refunded.clone(), again.clone()]].concat());
    // The refund happens after the admission. Therefore it does not permit the admission.
    let late = refund(&taken[2], 300);
    assert_violation(Violation::OverAdmission, [taken.clone(), vec![late, again.clone()]].concat());
    // This refund has no reply, so it is unknown whether the store returned the units. The judge must accept both
    // cases.
    let unknown = StoreCall { reply: None, began: START + 100, ..refunded.clone() };
    assert_accepted([taken.clone(), vec![unknown.clone(), again]].concat());
    let denied = denied("refund", 200);
    assert_accepted([taken.clone(), vec![unknown, denied.clone()]].concat());
    assert_violation(Violation::FalseDenial, [taken, vec![refunded, denied]].concat());
}

#[test]
fn data_loss_permits_one_additional_limit() {
    let calls = vec![[burst("log", 8, 0), burst("log", 8, 200)].concat()];
    let findings = judge_calls(calls.clone(), &[100]);
    assert!(findings.violations.is_empty(), "{findings:?}");
    assert_eq!(findings.excess_after_losses, (8, 8));
    assert!(judge_calls(calls.clone(), &[]).violations.contains_key(&Violation::OverAdmission));
    assert!(judge_calls(calls, &[300]).violations.contains_key(&Violation::OverAdmission));
    let more = vec![[burst("log", 8, 0), burst("log", 9, 200)].concat()];
    assert!(judge_calls(more, &[100]).violations.contains_key(&Violation::OverAdmission));
    // The store lost the data of these calls. Therefore they do not explain a later denial.
    let denial = vec![[burst("log", 8, 0), vec![denied("log", 200)]].concat()];
    assert!(judge_calls(denial.clone(), &[]).violations.is_empty());
    assert!(judge_calls(denial, &[100]).violations.contains_key(&Violation::FalseDenial));
}

/// Judges the calls of a store whose clock jumped at the time `since`. After the jump, the store's clock is `ahead`
/// microseconds ahead of the real time.
fn judge_with_clock_step(mut calls: Vec<StoreCall>, since: u64, ahead: i64) -> Findings {
    // The times in replies come from the store's clock. Therefore they must jump with this clock.
    for call in calls.iter_mut().filter(|call| call.began >= START + since) {
        let reply = call.reply.as_mut().unwrap();
        reply.at = reply.at.saturating_add_signed(ahead);
    }
    let settings = vec![Setting { at: START + since, ahead }];
    let events = StoreEvents { settings, ..StoreEvents::default() };
    let history = History { mode: "open", calls, ..History::default() };
    judge(vec![history], DEADLINE, &events)
}

#[test]
fn clock_steps_are_distinguished_from_over_admission() {
    let second = 1_000 * MILLI;
    let twice = |after| [burst("log", 8, 0), burst("log", 8, after)].concat();
    for ahead in [-700_000, 700_000, -5_000_000] {
        let findings = judge_with_clock_step(twice(second), 500 * MILLI, ahead);
        assert!(findings.violations.is_empty(), "{findings:?}");
    }
    // A backward clock step must not permit any additional admission. A forward clock step permits as many
    // additional units as the limit.
    let backward = judge_with_clock_step(twice(900 * MILLI), 500 * MILLI, -700_000);
    assert!(backward.violations.contains_key(&Violation::OverAdmission));
    assert!(judge_with_clock_step(twice(900 * MILLI), 500 * MILLI, 700_000).violations.is_empty());
    let more = [twice(900 * MILLI), burst("log", 1, 950 * MILLI)].concat();
    let forward = judge_with_clock_step(more, 500 * MILLI, 700_000);
    assert!(forward.violations.contains_key(&Violation::OverAdmission));
}

#[test]
fn reply_with_ambiguous_clock_causes_no_violation() {
    let second = 1_000 * MILLI;
    let judge_with_call_end = |read: u64| {
        let mut taken = burst("log", 8, 0);
        // The server reads the replies late, as if its process had been suspended.
        taken.iter_mut().for_each(|call| call.ended = START + read);
        let again = burst("log", 8, 2_600 * MILLI);
        judge_with_clock_step([taken, again].concat(), second, -2_500_000)
    };
    assert!(judge_with_call_end(second / 2).violations.is_empty());
    let findings = judge_with_call_end(2 * second);
    assert!(findings.violations.is_empty(), "{findings:?}");
    assert_eq!((findings.admitted, findings.unanswered), (16, 0));
    let findings = judge_with_call_end(3 * second);
    assert!(findings.violations.is_empty(), "{findings:?}");
    assert_eq!((findings.admitted, findings.unanswered), (8, 8));
}

#[test]
fn backward_clock_step_explains_denials_for_one_window() {
    let history = |denials: &[u64]| {
        let denials = denials.iter().map(|at| denied("log", *at)).collect();
        [burst("log", 8, 0), denials].concat()
    };
    let log_violations =
        |denials| judge_with_clock_step(history(denials), 500 * MILLI, -3_000_000).violations;
    assert!(log_violations(&[600 * MILLI, 1_599 * MILLI]).is_empty());
    assert!(log_violations(&[600 * MILLI, 1_601 * MILLI]).contains_key(&Violation::FalseDenial));
    assert!(log_violations(&[2_600 * MILLI, 3_599 * MILLI]).is_empty());
    // After the step, the token bucket refills from the time of the first check.
    let tokens = |at| {
        [burst("bucket", 5, 0), vec![denied("bucket", 1_000 * MILLI), denied("bucket", at)]]
            .concat()
    };
    let token_violations =
        |at| judge_with_clock_step(tokens(at), 500 * MILLI, -3_000_000).violations;
    assert!(token_violations(1_099 * MILLI).is_empty());
    assert!(token_violations(1_101 * MILLI).contains_key(&Violation::FalseDenial));
    let forward =
        judge_with_clock_step(history(&[600 * MILLI, 1_599 * MILLI]), 500 * MILLI, 3_000_000);
    assert!(forward.violations.contains_key(&Violation::FalseDenial));
}

#[test]
fn denial_requires_a_full_bucket_under_every_algorithm() {
    let policies = [("log", 8), ("fixed", 6), ("bucket", 5), ("counter", 9), ("long", 40)];
    assert_has_every_algorithm("the list of this test", policies.map(|(policy, _)| rates(policy)));
    for (policy, limit) in policies {
        let taken = |count| {
            let end = 1_000 * MILLI;
            if policy == "fixed" {
                with_window_end(burst(policy, count, 0), end)
            } else {
                burst(policy, count, 0)
            }
        };
        assert_accepted([taken(limit), vec![denied(policy, 100)]].concat());
        assert_violation(
            Violation::FalseDenial,
            [taken(limit - 1), vec![denied(policy, 100)]].concat(),
        );
        // The window has ended. Therefore these calls do not explain a denial any more.
        let over = denied(policy, 70_000 * MILLI);
        assert_violation(Violation::FalseDenial, [taken(limit), vec![over]].concat());
    }
    // As soon as one token has been refilled, a denial is a violation.
    let denial_after = |after| [burst("bucket", 5, 0), vec![denied("bucket", after)]].concat();
    assert_accepted(denial_after(100 * MILLI - 1));
    assert_violation(Violation::FalseDenial, denial_after(100 * MILLI + 4));
    // A denial is correct if the bucket of at least one quota is full.
    assert_accepted([burst("several", 5, 0), vec![denied("several", 100)]].concat());
    assert_violation(
        Violation::FalseDenial,
        [burst("several", 5, 0), vec![denied("several", 600 * MILLI)]].concat(),
    );
}

#[test]
fn unanswered_call_explains_denials_while_it_may_count() {
    // This reply allows the server to estimate the store's clock.
    let earlier_reply = admitted("long", 0);
    let policies =
        [("log", 8, 1_000), ("fixed", 6, 1_000), ("counter", 9, 1_600), ("bucket", 5, 100)];
    assert_has_every_algorithm("the list of this test", policies.map(|(name, ..)| rates(name)));
    for (policy, limit, window) in policies {
        let at = 5_000 * MILLI;
        let taken = with_window_end(burst(policy, limit - 1, at), 6_000 * MILLI);
        let with_uncertain_call = |uncertain, denial| {
            [
                vec![earlier_reply.clone()],
                taken.clone(),
                vec![unanswered(policy, uncertain), denial],
            ]
            .concat()
        };
        let findings = assert_accepted(with_uncertain_call(at + 10, denied(policy, at + 20)));
        assert_eq!(findings.undecidable, 1);
        // This call begins after the denial. Therefore it cannot explain the denial.
        let later = at + 5 * MILLI;
        assert_violation(
            Violation::FalseDenial,
            with_uncertain_call(later, denied(policy, at + 20)),
        );
        // The units of this call expired a long time ago. Therefore they do not count any more.
        let long_ago = at - (window + 500) * MILLI;
        assert_violation(
            Violation::FalseDenial,
            with_uncertain_call(long_ago, denied(policy, at + 20)),
        );
        // Without an earlier reply, the server cannot send a deadline to the store. Then the store may execute the
        // call much later, so the denial is possible.
        let calls = [taken.clone(), vec![unanswered(policy, long_ago), denied(policy, at + 20)]];
        assert_accepted(calls.concat());
    }
}

#[test]
fn response_must_follow_from_the_replies_of_the_store() {
    let (admitted, denied) = (admitted("log", 0), denied("log", 0));
    let unanswered = unanswered("log", 0);
    use DecisionSource::{Memory, Store, Undecided};
    let cases: [(&str, &[&StoreCall], DecisionSource, u16, bool); 28] = [
        ("open", &[&admitted], Store, 200, true),
        ("open", &[&admitted], Store, 204, true),
        ("open", &[&denied], Store, 429, true),
        ("open", &[&unanswered], Undecided, 200, true),
        ("open", &[], Undecided, 200, true),
        ("closed", &[&unanswered], Undecided, 503, true),
        ("closed", &[], Undecided, 503, true),
        ("local", &[&unanswered], Memory, 200, true),
        ("local", &[], Memory, 429, true),
        // Under load, checks can fail. Therefore a server with any failure mode may decide in memory.
        ("open", &[], Memory, 200, true),
        ("open", &[&unanswered], Memory, 429, true),
        ("closed", &[&unanswered], Memory, 200, true),
        ("open", &[&admitted], Memory, 200, false),
        ("closed", &[&denied], Memory, 429, false),
        ("open", &[&denied], Store, 200, false),
        ("open", &[&admitted], Store, 429, false),
        ("open", &[&admitted], Undecided, 200, false),
        // The store did not reply to this call. Therefore the response must not report that the store admitted the
        // request.
        ("open", &[&unanswered], Store, 200, false),
        ("open", &[], Store, 200, false),
        ("open", &[&unanswered], Undecided, 503, false),
        ("open", &[&unanswered], Undecided, 429, false),
        ("open", &[&unanswered], Undecided, 500, false),
        ("closed", &[&unanswered], Undecided, 200, false),
        ("closed", &[&unanswered], Undecided, 429, false),
        ("closed", &[&admitted], Store, 503, false),
        ("closed", &[&denied], Store, 503, false),
        ("local", &[&unanswered], Undecided, 200, false),
        // A server must not check the same limit twice for one request.
        ("open", &[&unanswered, &admitted], Store, 200, false),
    ];
    for (mode, checks, source, status, is_accepted) in cases {
        let calls = checks.iter().map(|&call| StoreCall { request: 3, ..call.clone() }).collect();
        let requests = vec![request(0, source, status)];
        let history = History { mode, calls, requests, ..History::default() };
        let mut findings = judge(vec![history], DEADLINE, &StoreEvents::default());
        findings.violations.remove(&Violation::FalseDenial);
        assert_eq!(
            findings.violations.is_empty(),
            is_accepted,
            "{mode} {checks:?} {source:?} {status}"
        );
    }
}

fn request(at: u64, source: DecisionSource, status: u16) -> Request {
    let received_at = START + at;
    let client = "client".to_owned();
    Request {
        number: 3,
        received_at,
        responded_at: received_at + MILLI,
        page: 0,
        client,
        cost: 1,
        status,
        source,
    }
}

#[test]
fn server_without_the_store_admits_its_share() {
    let local_violations = |times: &[u64]| {
        let request = |at: &u64| request(*at, DecisionSource::Memory, 200);
        let requests = times.iter().map(request).collect();
        let history = History { mode: "local", requests, ..History::default() };
        judge(vec![history], DEADLINE, &StoreEvents::default()).violations
    };
    assert_eq!(PAGES[0].policies, ["log"]);
    // The limit is 8 units per second, and there are four servers. Therefore the local share is 2 units per second.
    assert!(local_violations(&[0, 1, 1_000 * MILLI, 1_001 * MILLI]).is_empty());
    assert!(local_violations(&[0, 1, 998 * MILLI]).contains_key(&Violation::Local));
    // The exact times of the decisions are not known. The server may have decided on the first request when the
    // request arrived, and on the last request when the response was sent.
    assert!(local_violations(&[0, 1, 999 * MILLI]).is_empty());
}

#[test]
fn request_that_costs_more_than_the_share_takes_the_whole_share() {
    // The limit is 20 units per 1.5 s. With eight servers, the share of a server is 2 units.
    let is_accepted = |servers, times: &[u64]| {
        let page = PAGES.iter().position(|page| page.path == "/costs").unwrap();
        let costly =
            |at: &u64| Request { page, cost: 4, ..request(*at, DecisionSource::Memory, 200) };
        let requests = times.iter().map(costly).collect();
        let history = History { mode: "local", servers, requests, ..History::default() };
        judge(vec![history], DEADLINE, &StoreEvents::default()).violations.is_empty()
    };
    assert!(is_accepted(8, &[0, 1_500 * MILLI]) && !is_accepted(8, &[0, 1_000 * MILLI]));
    // With four servers, the share is 5 units.
    assert!(is_accepted(4, &[0, 1_500 * MILLI]) && !is_accepted(4, &[0, 1_000 * MILLI]));
}

#[test]
fn history_records_survive_formatting_and_parsing() {
    let check = check("mixed", 3, 12, false);
    let refund = refund(&admitted("refund", 5), 9);
    let lines = [check, unanswered("log", 1), refund].map(Record::StoreCall);
    let requests = [DecisionSource::Undecided, DecisionSource::Store, DecisionSource::Memory]
        .map(|source| Record::Request(request(7, source, 429)));
    for line in lines.into_iter().chain(requests) {
        assert_eq!(line.to_string().parse(), Ok(line));
    }
    for line in [
        "",
        "request",
        "request 1 2 3 4 client 1 200 unknown",
        "check 1 2 3 1",
        "peek 1 2 3 - - - -",
    ] {
        assert!(line.parse::<Record>().is_err(), "{line}");
    }
}

#[test]
fn judge_has_every_quota_of_a_storm() {
    for (policy, (name, rates)) in LIMITS.iter().enumerate() {
        assert_eq!(policy_index(name), Some(policy));
        let last = rates.split(';').count() - 1;
        assert!(quota(policy, last).is_some() && quota(policy, last + 1).is_none(), "{name}");
    }
    for page in &PAGES {
        assert!(page.policies.iter().all(|name| policy_index(name).is_some()), "{page:?}");
    }
}

#[test]
fn seed_determines_the_faults_and_covers_all() {
    let all = Fault::ALL.map(|(_, fault)| fault);
    let storm = |seed| steps(seed, &all).take(all.len()).collect::<Vec<_>>();
    assert_eq!(storm(1), storm(1));
    assert_ne!(storm(1), storm(2));
    for fault in all {
        assert!(storm(3).iter().any(|step| step.faults.contains(&fault)), "{fault:?}");
    }
    let steps_with_two_faults =
        steps(4, &all).take(200).filter(|step| step.faults.len() == 2).count();
    assert!((10..100).contains(&steps_with_two_faults), "{steps_with_two_faults}");
    assert_eq!(steps(1, &[]).count(), 0);
    let attacks = steps(5, &[Fault::Attack]).take(50);
    assert!(attacks.into_iter().all(|step| step.duration >= Duration::from_secs(1)));
}
