//! Tests linearizability: several processes that use one Redis server get the same results as the model, a simple
//! reference implementation that applies one operation after another.
//!
//! Therefore the store admits no request beyond a limit, and it denies no request for which there is room.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use actix_rateguard::{
    Algorithm,
    store::{BucketStatus, Operation},
};
use rateguard_tests::history::{Call, DEBIT_RESET_KEY, Event, LIMITS, Part};

use crate::{
    history_checker::{Violation, ViolationReport, bucket, check_limits, replay, rule},
    support::{process::HistoryRecorder, redis_server::RedisServer},
    traces::seed,
};

const PROCESSES: u64 = 8;
const TASKS: usize = 2;
const OPERATIONS: usize = 500;

/// The operations that all processes recorded, sorted by the time on the clock of Redis.
struct RecordedHistory {
    history: Vec<Event>,
    /// The keys that are in Redis at the end, each with its remaining lifetime in milliseconds.
    remaining_keys: Vec<(String, i64)>,
    seed: u64,
}

/// Returns the recorded history. The first call records it. All tests share this history and do not change it.
fn recorded() -> &'static RecordedHistory {
    static RECORDED: OnceLock<RecordedHistory> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let seed = seed();
        let server = RedisServer::start();
        let start = |process| {
            let seed = seed.wrapping_add(process * TASKS as u64);
            HistoryRecorder::start(&server.url(), "histories", seed, TASKS, OPERATIONS)
        };
        let mut recorders: Vec<HistoryRecorder> = (0..PROCESSES).map(start).collect();
        recorders.iter_mut().for_each(HistoryRecorder::go);
        let mut history: Vec<Event> =
            recorders.into_iter().flat_map(HistoryRecorder::history).collect();
        // The script decides all requests of a batch at the same time, in the order of their numbers.
        history.sort_by_key(|event| (event.at, event.call.process, event.call.number));
        let mut client = server.client();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
        let lifetime = |key: &String| redis::cmd("PTTL").arg(key).query(&mut client).unwrap();
        let lifetimes = keys.iter().map(lifetime).collect::<Vec<i64>>();
        RecordedHistory { history, remaining_keys: keys.into_iter().zip(lifetimes).collect(), seed }
    })
}

impl RecordedHistory {
    #[track_caller]
    fn assert_valid<T>(&self, checked: Result<T, ViolationReport>) -> T {
        checked.unwrap_or_else(|ViolationReport { violation, details }| {
            panic!("{violation:?}: {details}\n{}", self.reproduction_hint())
        })
    }

    /// Returns a hint that says how to repeat the same operations. Their results may differ, because the timing
    /// differs in each run.
    fn reproduction_hint(&self) -> String {
        format!("to request the same operations again: RATEGUARD_SEED={}", self.seed)
    }

    /// Returns the indices of about ten events that `wanted` selects, spread over the first third of the history.
    #[track_caller]
    fn event_indices(&self, wanted: impl Fn(usize, &Event) -> bool) -> Vec<usize> {
        let has_unique_time = |index: usize| {
            let at = |index: usize| self.history[index].at;
            at(index - 1) < at(index) && at(index) < at(index + 1)
        };
        let all: Vec<usize> = (1..self.history.len() / 3)
            .filter(|index| has_unique_time(*index) && wanted(*index, &self.history[*index]))
            .collect();
        assert!(all.len() >= 10, "only {}; {}", all.len(), self.reproduction_hint());
        all.iter().copied().step_by(all.len() / 10).collect()
    }

    /// Changes an event with `alter`, and asserts that the replay reports the violation `violation` for this event.
    #[track_caller]
    fn assert_found(&self, violation: Violation, index: usize, alter: impl FnOnce(&mut Event)) {
        let mut altered = self.history[..=index].to_vec();
        alter(&mut altered[index]);
        let found = replay(&altered).expect_err("the altered event is not detected");
        assert_eq!(found.violation, violation, "{}\n{}", found.details, self.reproduction_hint());
        assert!(found.details.starts_with(&altered[index].to_string()), "{}", found.details);
    }
}

#[test]
fn eight_processes_match_the_sequential_model() {
    let recorded = recorded();
    assert_eq!(recorded.history.len(), PROCESSES as usize * TASKS * OPERATIONS);
    recorded.assert_valid(replay(&recorded.history));
}

#[test]
fn no_window_of_a_history_exceeds_its_limit() {
    let recorded = recorded();
    let admissions = recorded.assert_valid(check_limits(&recorded.history));
    assert!(admissions > 300, "only {admissions}; {}", recorded.reproduction_hint());
}

#[test]
fn every_key_left_by_a_history_has_an_expiry() {
    let recorded = recorded();
    assert!(recorded.remaining_keys.len() >= 2, "{:?}", recorded.remaining_keys);
    for (key, lifetime) in &recorded.remaining_keys {
        // PTTL returns -1 for a key without an expiry. It returns -2 for a key that has expired after the command
        // `KEYS`.
        assert_ne!(*lifetime, -1, "{key}; {}", recorded.reproduction_hint());
    }
}

#[test]
fn history_covers_every_outcome() {
    let recorded = recorded();
    let outcomes = outcomes(&recorded.history);
    for (outcome, min) in [
        ("admitted", 300),
        ("admitted without a cost", 50),
        ("admitted after a denial", 30),
        ("denied", 200),
        ("denied permanently", 50),
        ("peek with room", 50),
        ("peek without room", 50),
        ("debited", 100),
        ("fully refunded", 100),
        ("partly refunded", 50),
        ("refund of nothing", 20),
        ("reset", 100),
        ("process switches", 500),
    ] {
        let count = outcomes.get(outcome).copied().unwrap_or(0);
        assert!(
            count >= min,
            "{outcome}: {count} of {outcomes:#?}\n{}",
            recorded.reproduction_hint()
        );
    }
    for (limit, (name, _)) in LIMITS.iter().enumerate() {
        let is_admission = |event: &&Event| {
            let takes = event.operation == Operation::Check && event.is_allowed;
            takes && event.parts.iter().any(|part| part.limit == limit && part.cost > 0)
        };
        let count = recorded.history.iter().filter(is_admission).count();
        assert!(count >= 30, "{name}: {count} admissions; {}", recorded.reproduction_hint());
    }
}

/// Counts how many events have each kind of outcome.
fn outcomes(history: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut outcomes = BTreeMap::new();
    let mut denied = BTreeMap::new();
    let mut taken: BTreeMap<Call, u32> = BTreeMap::new();
    for event in history {
        let cost: u32 = event.parts.iter().map(|part| part.cost).sum();
        let request: Vec<_> = event.parts.iter().map(|part| (bucket(part), part.cost)).collect();
        let outcome = match event.operation {
            Operation::Check if event.is_allowed => {
                taken.insert(event.call, cost);
                match denied.insert(request, false) {
                    Some(true) => "admitted after a denial",
                    _ if cost == 0 => "admitted without a cost",
                    _ => "admitted",
                }
            }
            Operation::Check => {
                denied.insert(request, true);
                let is_permanent = event.parts.iter().any(|part| part.status.retry_after.is_none());
                if is_permanent { "denied permanently" } else { "denied" }
            }
            Operation::Peek if event.is_allowed => "peek with room",
            Operation::Peek => "peek without room",
            Operation::Debit => "debited",
            Operation::Refund if cost == 0 => "refund of nothing",
            Operation::Refund if event.refund_of.is_some_and(|call| taken[&call] == cost) => {
                "fully refunded"
            }
            Operation::Refund => "partly refunded",
            Operation::Renew => "renewed",
            Operation::Lease => "leased",
            Operation::Return => "returned",
            Operation::Reset => "reset",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let switches = history.windows(2).filter(|two| two[0].call.process != two[1].call.process);
    outcomes.insert("process switches", switches.count());
    outcomes
}

#[test]
fn checker_finds_denial_recorded_as_admission() {
    let recorded = recorded();
    let is_denial = |_, event: &Event| event.operation == Operation::Check && !event.is_allowed;
    for index in recorded.event_indices(is_denial) {
        recorded.assert_found(Violation::OverAdmission, index, |event| event.is_allowed = true);
    }
}

#[test]
fn checker_finds_admission_recorded_as_denial() {
    let recorded = recorded();
    let is_admission = |_, event: &Event| event.operation == Operation::Check && event.is_allowed;
    for index in recorded.event_indices(is_admission) {
        recorded.assert_found(Violation::FalseDenial, index, |event| event.is_allowed = false);
    }
}

#[test]
fn checker_finds_altered_bucket_status() {
    let recorded = recorded();
    for (number, index) in recorded.event_indices(|_, _| true).into_iter().enumerate() {
        recorded.assert_found(Violation::Status, index, |event| {
            let status = &mut event.parts[0].status;
            let micro = Duration::from_micros(1);
            match number % 3 {
                0 => status.remaining += 1,
                1 => status.reset_after += micro,
                _ => status.retry_after = Some(status.retry_after.unwrap_or_default() + micro),
            }
        });
    }
}

#[test]
fn checker_finds_missing_admission() {
    let recorded = recorded();
    let history = &recorded.history;
    // Returns whether the admitted units still count at the next operation on the same bucket. If they do not, the
    // replay cannot notice that the test removed the admission from the history.
    let is_visible = |index: usize, part: &Part| {
        let next = history[index + 1..]
            .iter()
            .find(|event| event.parts.iter().any(|it| bucket(it) == bucket(part)));
        part.cost > 0
            && part.key != DEBIT_RESET_KEY
            && rule(part).algorithm == Algorithm::SlidingWindow
            && next.is_some_and(|next| next.at < history[index].at + rule(part).window)
    };
    let has_visible_part = |index, event: &Event| {
        event.operation == Operation::Check
            && event.is_allowed
            && event.parts.iter().any(|part| is_visible(index, part))
    };
    for index in recorded.event_indices(has_visible_part) {
        let mut altered = history.clone();
        altered.remove(index);
        assert!(replay(&altered).is_err(), "the missing event is not detected: {}", history[index]);
    }
}

#[test]
fn limit_checker_finds_admission_beyond_the_limit() {
    let recorded = recorded();
    let is_full = |part: &Part| {
        let has_room = part.status.retry_after == Some(Duration::ZERO);
        part.key != DEBIT_RESET_KEY && rule(part).algorithm == Algorithm::SlidingWindow && !has_room
    };
    let is_denial = |_, event: &Event| {
        event.operation == Operation::Check && event.parts.iter().any(is_full) && !event.is_allowed
    };
    for index in recorded.event_indices(is_denial) {
        let mut altered = recorded.history[..=index].to_vec();
        altered[index].is_allowed = true;
        let found = check_limits(&altered).expect_err("the excess is not detected");
        assert_eq!(found.violation, Violation::OverAdmission);
    }
}

#[test]
fn checker_finds_refund_of_units_not_taken() {
    let recorded = recorded();
    let is_refund = |_, event: &Event| event.operation == Operation::Refund;
    for index in recorded.event_indices(is_refund) {
        recorded.assert_found(Violation::Receipt, index, |event| event.parts[0].cost += 7);
        recorded
            .assert_found(Violation::Receipt, index, |event| event.refund_of = Some(event.call));
    }
}

#[test]
fn checks_in_one_microsecond_may_run_in_either_order() {
    let (name, limit) = ("day", LIMITS.len() - 1);
    assert_eq!(LIMITS[limit].0, name);
    let check = |number, remaining| {
        let reset_after = Duration::from_secs(86_400);
        let status = BucketStatus { remaining, reset_after, retry_after: Some(Duration::ZERO) };
        Event {
            at: 1_800_000_000_000_000,
            call: Call { process: number, number },
            operation: Operation::Check,
            refund_of: None,
            is_allowed: true,
            parts: vec![Part { limit, quota_index: 0, key: 0, cost: 1, status }],
        }
    };
    assert!(replay(&[check(1, 29), check(2, 28), check(3, 27)]).is_ok());
    assert!(replay(&[check(1, 27), check(2, 28), check(3, 29)]).is_ok());
    let found =
        replay(&[check(1, 29), check(2, 29)]).expect_err("one of the checks must be second");
    assert_eq!(found.violation, Violation::Status);
}
