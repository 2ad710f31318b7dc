//! What a storm leaves is judged by what nobody can say who tells the truth: each lie is found, and no truth is.

use std::time::Duration;

use rateguard::store::Operation;
use rateguard_tests::storm::{
    clock::Setting,
    history::{Asked, Bucket, Decided, Line, Part, Request, Said},
    limits::{LIMITS, PAGES, number, quota},
    schedule::{Fault, steps},
    verdict::{Happened, History, Lie, Verdict, judge},
};

const DEADLINE: Duration = Duration::from_millis(100);
const MILLI: u64 = 1_000;
/// A round number far from 0, at which a window of the counter begins.
const START: u64 = 1_800_000_000_000_000;

fn parts(policy: &str, cost: u32) -> Vec<Part> {
    let policy = number(policy).unwrap();
    let places = (0..).take_while(|place| quota(policy, *place).is_some());
    let part = |place| {
        let bucket = Bucket { policy, place, key: 7 };
        Part { bucket, cost, reset_after: 0, taken_by: (0, 0) }
    };
    places.map(part).collect()
}

/// A check that was answered at this time, in microseconds after the start.
fn check(policy: &str, cost: u32, at: u64, is_allowed: bool) -> Asked {
    let at = START + at;
    Asked {
        request: 0,
        operation: Operation::Check,
        began: at - MILLI,
        ended: at + MILLI,
        said: Some(Said { is_allowed, at, call: (1, at) }),
        parts: parts(policy, cost),
    }
}

fn admitted(policy: &str, at: u64) -> Asked {
    check(policy, 1, at, true)
}

fn denied(policy: &str, at: u64) -> Asked {
    check(policy, 1, at, false)
}

/// A check that was given up after the deadline.
fn unanswered(policy: &str, at: u64) -> Asked {
    let asked = check(policy, 1, at, true);
    Asked { said: None, ended: asked.began + 100 * MILLI, ..asked }
}

/// Gives back what this check took.
fn refund(taken: &Asked, at: u64) -> Asked {
    let mut refund = check("refund", 1, at, true);
    refund.operation = Operation::Refund;
    refund.parts[0].taken_by = taken.said.unwrap().call;
    refund
}

/// So many in one after the other microsecond.
fn burst(policy: &str, count: u64, at: u64) -> Vec<Asked> {
    (0..count).map(|number| admitted(policy, at + number)).collect()
}

/// The fixed windows of these checks end then.
fn ending(mut asked: Vec<Asked>, end: u64) -> Vec<Asked> {
    for asked in &mut asked {
        asked.parts[0].reset_after = START + end - asked.said.unwrap().at;
    }
    asked
}

fn judged(asked: Vec<Vec<Asked>>, losses: &[u64]) -> Verdict {
    let history = |asked| History { mode: "open", asked, requests: Vec::new() };
    let losses = losses.iter().map(|loss| START + loss).collect();
    let happened = Happened { losses, settings: Vec::new() };
    judge(asked.into_iter().map(history).collect(), DEADLINE, &happened)
}

#[track_caller]
fn believe(asked: Vec<Asked>) -> Verdict {
    let verdict = judged(vec![asked], &[]);
    assert!(verdict.found.is_empty(), "{verdict:?}");
    verdict
}

#[track_caller]
fn find(lie: Lie, asked: Vec<Asked>) {
    let found = judged(vec![asked], &[]).found;
    assert_eq!(found.keys().collect::<Vec<_>>(), [&lie]);
}

#[test]
fn a_log_admits_its_limit_and_again_when_the_first_has_left() {
    let second = 1_000 * MILLI;
    believe([burst("log", 8, 0), burst("log", 8, second)].concat());
    find(Lie::OverAdmission, burst("log", 9, 0));
    find(Lie::OverAdmission, [burst("log", 8, 0), burst("log", 1, second - 1)].concat());
    // Also if servers have told each a part of it.
    let found = judged(vec![burst("log", 5, 0), burst("log", 4, 100)], &[]).found;
    assert!(found.contains_key(&Lie::OverAdmission));
}

#[test]
fn units_count_and_not_requests() {
    let costly = |cost, at| check("costs", cost, at, true);
    believe(vec![costly(10, 0), costly(10, 1)]);
    find(Lie::OverAdmission, vec![costly(10, 0), costly(10, 1), costly(1, 2)]);
}

#[test]
fn of_several_quotas_each_is_held_against_what_was_admitted() {
    let burst = |count, at| burst("several", count, at);
    believe([burst(5, 0), burst(5, 600 * MILLI)].concat());
    find(Lie::OverAdmission, burst(6, 0));
    let third = burst(3, 1_200 * MILLI);
    find(Lie::OverAdmission, [burst(5, 0), burst(5, 600 * MILLI), third].concat());
}

#[test]
fn fixed_windows_admit_their_limit_and_do_not_overlap() {
    let burst = |count, at| burst("fixed", count, at);
    let (end, next) = (1_000 * MILLI, 2_500 * MILLI);
    believe([ending(burst(6, 0), end), ending(burst(6, 1_500 * MILLI), next)].concat());
    find(Lie::OverAdmission, ending(burst(7, 0), end));
    let overlapping = ending(burst(6, 900 * MILLI), 1_900 * MILLI);
    find(Lie::OverAdmission, [ending(burst(6, 0), end), overlapping].concat());
    // It was over when this came.
    find(Lie::OverAdmission, ending(burst(1, 1_000 * MILLI), end));
}

#[test]
fn a_token_bucket_admits_its_burst_and_what_came_back() {
    let burst = |count, at| burst("bucket", count, at);
    believe([burst(5, 0), burst(1, 100 * MILLI), burst(1, 200 * MILLI)].concat());
    find(Lie::OverAdmission, burst(6, 0));
    find(Lie::OverAdmission, [burst(5, 0), burst(1, 100 * MILLI - 1)].concat());
}

#[test]
fn a_counter_admits_its_limit_less_what_counts_of_the_window_before() {
    let burst = |count, at| burst("counter", count, at);
    let window = 800 * MILLI;
    believe([burst(9, 0), burst(4, window * 3 / 2)].concat());
    find(Lie::OverAdmission, burst(10, 0));
    find(Lie::OverAdmission, [burst(9, 0), burst(5, window * 3 / 2)].concat());
    // Two windows later nothing of it counts.
    believe([burst(9, 0), burst(9, 2 * window)].concat());
}

#[test]
fn what_was_given_back_is_free_again_and_what_may_have_been_may_be() {
    let taken = burst("refund", 6, 0);
    let back = refund(&taken[2], 100);
    let again = admitted("refund", 200);
    find(Lie::OverAdmission, [taken.clone(), vec![again.clone()]].concat());
    believe([taken.clone(), vec![back.clone(), again.clone()]].concat());
    // Given back later, it was not free yet.
    let late = refund(&taken[2], 300);
    find(Lie::OverAdmission, [taken.clone(), vec![late, again.clone()]].concat());
    // Nobody knows about this one, so either is believed.
    let unknown = Asked { said: None, began: START + 100, ..back.clone() };
    believe([taken.clone(), vec![unknown.clone(), again]].concat());
    let denied = denied("refund", 200);
    believe([taken.clone(), vec![unknown, denied.clone()]].concat());
    find(Lie::FalseDenial, [taken, vec![back, denied]].concat());
}

#[test]
fn after_a_loss_there_is_one_more_limit_and_no_two() {
    let asked = vec![[burst("log", 8, 0), burst("log", 8, 200)].concat()];
    let verdict = judged(asked.clone(), &[100]);
    assert!(verdict.found.is_empty(), "{verdict:?}");
    assert_eq!(verdict.by_losses, (8, 8));
    assert!(judged(asked.clone(), &[]).found.contains_key(&Lie::OverAdmission));
    assert!(judged(asked, &[300]).found.contains_key(&Lie::OverAdmission));
    let more = vec![[burst("log", 8, 0), burst("log", 9, 200)].concat()];
    assert!(judged(more, &[100]).found.contains_key(&Lie::OverAdmission));
    // What was lost is no reason to deny.
    let denial = vec![[burst("log", 8, 0), vec![denied("log", 200)]].concat()];
    assert!(judged(denial.clone(), &[]).found.is_empty());
    assert!(judged(denial, &[100]).found.contains_key(&Lie::FalseDenial));
}

/// Judged where the clock was ahead by so much from a time on.
fn judged_by_clock(mut asked: Vec<Asked>, since: u64, ahead: i64) -> Verdict {
    // As the store tells them.
    for asked in asked.iter_mut().filter(|asked| asked.began >= START + since) {
        let said = asked.said.as_mut().unwrap();
        said.at = said.at.saturating_add_signed(ahead);
    }
    let settings = vec![Setting { at: START + since, ahead }];
    let happened = Happened { losses: Vec::new(), settings };
    judge(vec![History { mode: "open", asked, requests: Vec::new() }], DEADLINE, &happened)
}

#[test]
fn a_clock_that_is_set_is_told_from_one_that_is_not() {
    let second = 1_000 * MILLI;
    let twice = |after| [burst("log", 8, 0), burst("log", 8, after)].concat();
    for ahead in [-700_000, 700_000, -5_000_000] {
        let verdict = judged_by_clock(twice(second), 500 * MILLI, ahead);
        assert!(verdict.found.is_empty(), "{verdict:?}");
    }
    // Set back it does not make more of the limit, and set forward once as much.
    let back = judged_by_clock(twice(900 * MILLI), 500 * MILLI, -700_000);
    assert!(back.found.contains_key(&Lie::OverAdmission));
    assert!(judged_by_clock(twice(900 * MILLI), 500 * MILLI, 700_000).found.is_empty());
    let more = [twice(900 * MILLI), burst("log", 1, 950 * MILLI)].concat();
    let forward = judged_by_clock(more, 500 * MILLI, 700_000);
    assert!(forward.found.contains_key(&Lie::OverAdmission));
}

#[test]
fn an_answer_that_either_clock_may_have_given_accuses_nobody() {
    let second = 1_000 * MILLI;
    let judged = |read: u64| {
        let mut taken = burst("log", 8, 0);
        // The server that was told so slept meanwhile.
        taken.iter_mut().for_each(|asked| asked.ended = START + read);
        let again = burst("log", 8, 2_600 * MILLI);
        judged_by_clock([taken, again].concat(), second, -2_500_000)
    };
    assert!(judged(second / 2).found.is_empty());
    let verdict = judged(2 * second);
    assert!(verdict.found.is_empty(), "{verdict:?}");
    assert_eq!((verdict.admitted, verdict.unanswered), (16, 0));
    let verdict = judged(3 * second);
    assert!(verdict.found.is_empty(), "{verdict:?}");
    assert_eq!((verdict.admitted, verdict.unanswered), (8, 8));
}

#[test]
fn after_a_clock_was_set_back_a_bucket_is_locked_for_one_window_since_it_was_looked_at() {
    let history = |denials: &[u64]| {
        let denials = denials.iter().map(|at| denied("log", *at)).collect();
        [burst("log", 8, 0), denials].concat()
    };
    let judged = |denials| judged_by_clock(history(denials), 500 * MILLI, -3_000_000).found;
    assert!(judged(&[600 * MILLI, 1_599 * MILLI]).is_empty());
    assert!(judged(&[600 * MILLI, 1_601 * MILLI]).contains_key(&Lie::FalseDenial));
    assert!(judged(&[2_600 * MILLI, 3_599 * MILLI]).is_empty());
    // Tokens begin to come back then, and are as many less from then on.
    let tokens = |at| {
        [burst("bucket", 5, 0), vec![denied("bucket", 1_000 * MILLI), denied("bucket", at)]]
            .concat()
    };
    let judged = |at| judged_by_clock(tokens(at), 500 * MILLI, -3_000_000).found;
    assert!(judged(1_099 * MILLI).is_empty());
    assert!(judged(1_101 * MILLI).contains_key(&Lie::FalseDenial));
    let forward = judged_by_clock(history(&[600 * MILLI, 1_599 * MILLI]), 500 * MILLI, 3_000_000);
    assert!(forward.found.contains_key(&Lie::FalseDenial));
}

#[test]
fn a_denial_has_a_reason_under_every_algorithm() {
    for (policy, limit) in [("log", 8), ("fixed", 6), ("bucket", 5), ("counter", 9), ("long", 40)] {
        let taken = |count| {
            let end = 1_000 * MILLI;
            if policy == "fixed" {
                ending(burst(policy, count, 0), end)
            } else {
                burst(policy, count, 0)
            }
        };
        believe([taken(limit), vec![denied(policy, 100)]].concat());
        find(Lie::FalseDenial, [taken(limit - 1), vec![denied(policy, 100)]].concat());
        // When all of it is over.
        let over = denied(policy, 70_000 * MILLI);
        find(Lie::FalseDenial, [taken(limit), vec![over]].concat());
    }
    // A token has come back.
    let back = |after| [burst("bucket", 5, 0), vec![denied("bucket", after)]].concat();
    believe(back(100 * MILLI - 1));
    find(Lie::FalseDenial, back(100 * MILLI + 4));
    // Of several quotas one is reason enough.
    believe([burst("several", 5, 0), vec![denied("several", 100)]].concat());
    find(Lie::FalseDenial, [burst("several", 5, 0), vec![denied("several", 600 * MILLI)]].concat());
}

#[test]
fn what_had_no_answer_may_be_the_reason_of_a_denial_for_as_long_as_it_may_count() {
    let known = admitted("long", 0);
    for (policy, limit, window) in
        [("log", 8, 1_000), ("fixed", 6, 1_000), ("counter", 9, 1_600), ("bucket", 5, 100)]
    {
        let at = 5_000 * MILLI;
        let taken = ending(burst(policy, limit - 1, at), 6_000 * MILLI);
        let together = |maybe, denial| {
            [vec![known.clone()], taken.clone(), vec![unanswered(policy, maybe), denial]].concat()
        };
        let verdict = believe(together(at + 10, denied(policy, at + 20)));
        assert_eq!(verdict.undecidable, 1);
        // Asked for later, it cannot have been the reason.
        let later = at + 5 * MILLI;
        find(Lie::FalseDenial, together(later, denied(policy, at + 20)));
        // It was too late for it to be done when it could still count.
        let long_ago = at - (window + 500) * MILLI;
        find(Lie::FalseDenial, together(long_ago, denied(policy, at + 20)));
        // But a server that had never heard of the store could not say until when it would wait.
        let asked = [taken.clone(), vec![unanswered(policy, long_ago), denied(policy, at + 20)]];
        believe(asked.concat());
    }
}

#[test]
fn what_becomes_of_a_request_follows_from_what_the_store_said() {
    let (admitted, denied) = (admitted("log", 0), denied("log", 0));
    let unanswered = unanswered("log", 0);
    use Decided::{Locally, Nobody, Together};
    let cases: [(&str, &[&Asked], Decided, u16, bool); 24] = [
        ("open", &[&admitted], Together, 200, true),
        ("open", &[&admitted], Together, 204, true),
        ("open", &[&denied], Together, 429, true),
        ("open", &[&unanswered], Nobody, 200, true),
        ("open", &[], Nobody, 200, true),
        ("closed", &[&unanswered], Nobody, 503, true),
        ("closed", &[], Nobody, 503, true),
        ("local", &[&unanswered], Locally, 200, true),
        ("local", &[], Locally, 429, true),
        ("open", &[&denied], Together, 200, false),
        ("open", &[&admitted], Together, 429, false),
        ("open", &[&admitted], Nobody, 200, false),
        // What was not answered is no admission.
        ("open", &[&unanswered], Together, 200, false),
        ("open", &[], Together, 200, false),
        ("open", &[&unanswered], Nobody, 503, false),
        ("open", &[&unanswered], Nobody, 429, false),
        ("open", &[&unanswered], Nobody, 500, false),
        ("open", &[], Locally, 200, false),
        ("closed", &[&unanswered], Nobody, 200, false),
        ("closed", &[&unanswered], Nobody, 429, false),
        ("closed", &[&admitted], Together, 503, false),
        ("closed", &[&denied], Together, 503, false),
        ("local", &[&unanswered], Nobody, 200, false),
        // Nobody is asked twice.
        ("open", &[&unanswered, &admitted], Together, 200, false),
    ];
    for (mode, checks, decided, status, is_true) in cases {
        let asked = checks.iter().map(|&asked| Asked { request: 3, ..asked.clone() }).collect();
        let history = History { mode, asked, requests: vec![request(0, decided, status)] };
        let mut verdict = judge(vec![history], DEADLINE, &Happened::default());
        verdict.found.remove(&Lie::FalseDenial);
        assert_eq!(verdict.found.is_empty(), is_true, "{mode} {checks:?} {decided:?} {status}");
    }
}

fn request(at: u64, decided: Decided, status: u16) -> Request {
    let came = START + at;
    let client = "client".to_owned();
    Request { number: 3, came, went: came + MILLI, page: 0, client, cost: 1, status, decided }
}

#[test]
fn a_server_on_its_own_admits_its_share() {
    let judged = |times: &[u64]| {
        let request = |at: &u64| request(*at, Decided::Locally, 200);
        let requests = times.iter().map(request).collect();
        let history = History { mode: "local", asked: Vec::new(), requests };
        judge(vec![history], DEADLINE, &Happened::default()).found
    };
    assert_eq!(PAGES[0].policies, ["log"]);
    // A quarter of eight, each second.
    assert!(judged(&[0, 1, 1_000 * MILLI, 1_001 * MILLI]).is_empty());
    assert!(judged(&[0, 1, 998 * MILLI]).contains_key(&Lie::Local));
    // The first may have been decided on when it came, and the last when it had its answer.
    assert!(judged(&[0, 1, 999 * MILLI]).is_empty());
}

#[test]
fn a_history_is_read_as_it_was_written() {
    let told = check("mixed", 3, 12, false);
    let refund = refund(&admitted("refund", 5), 9);
    let lines = [told, unanswered("log", 1), refund].map(Line::Asked);
    let answered = [Decided::Nobody, Decided::Together, Decided::Locally]
        .map(|decided| Line::Request(request(7, decided, 429)));
    for line in lines.into_iter().chain(answered) {
        assert_eq!(line.to_string().parse(), Ok(line));
    }
    for line in [
        "",
        "request",
        "request 1 2 3 4 client 1 200 somebody",
        "check 1 2 3 1",
        "peek 1 2 3 - - - -",
    ] {
        assert!(line.parse::<Line>().is_err(), "{line}");
    }
}

#[test]
fn every_quota_of_a_storm_is_known_to_its_judge() {
    for (policy, (name, rates)) in LIMITS.iter().enumerate() {
        assert_eq!(number(name), Some(policy));
        let last = rates.split(';').count() - 1;
        assert!(quota(policy, last).is_some() && quota(policy, last + 1).is_none(), "{name}");
    }
    for page in &PAGES {
        assert!(page.policies.iter().all(|name| number(name).is_some()), "{page:?}");
    }
}

#[test]
fn a_seed_has_the_same_faults_always_and_all_of_them() {
    let all = Fault::ALL.map(|(_, fault)| fault);
    let storm = |seed| steps(seed, &all).take(all.len()).collect::<Vec<_>>();
    assert_eq!(storm(1), storm(1));
    assert_ne!(storm(1), storm(2));
    for fault in all {
        assert!(storm(3).iter().any(|step| step.faults.contains(&fault)), "{fault:?}");
    }
    let together = steps(4, &all).take(200).filter(|step| step.faults.len() == 2).count();
    assert!((10..100).contains(&together), "{together}");
    assert_eq!(steps(1, &[]).count(), 0);
}
