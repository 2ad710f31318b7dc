//! Tests random changes of the algorithm and the limit. The memory store and the script with both log encodings must
//! make the same decisions, and no change may give a client additional units.

use std::{cell::RefCell, time::Duration};

use actix_rateguard::{
    Algorithm, CalendarPeriod, Key, MemoryStore, Quota,
    store::{Bucket, BucketRequest, BucketStatus, Operation, Store, Verdict},
    test_util::ManualClock,
};
use futures_util::FutureExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};

use crate::{
    support::{
        lua::{SOURCE, Script, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
};

/// One year in microseconds. With this window, no unit expires during a test.
const YEAR: u64 = 31_536_000_000_000;
const DAY: u64 = 86_400_000_000;

/// Returns the calendar period that has usually this window.
fn calendar_period(window: u64) -> Option<CalendarPeriod> {
    let text = match window {
        DAY => "calendar day Europe/Berlin",
        YEAR => "calendar year",
        _ => return None,
    };
    Some(text.parse().unwrap())
}

/// A quota, and the checks that a test makes with this quota. Durations are in microseconds.
#[derive(Clone, Copy, Debug)]
struct Change {
    algorithm: Algorithm,
    limit: u32,
    window: u64,
    checks: u8,
    cost: u32,
    /// The time between the previous change and this change.
    delay: u64,
}

impl Change {
    fn quota(self) -> Quota {
        if self.algorithm == Algorithm::Calendar {
            return Quota::calendar(self.limit, calendar_period(self.window).unwrap()).unwrap();
        }
        let quota = Quota::new(self.limit, Duration::from_micros(self.window)).unwrap();
        quota.with_algorithm(self.algorithm).unwrap()
    }
}

/// Generates changes that have the same window. If a change made the window shorter, one of the compared stores might
/// delete entries that another store still counts.
fn changes(window: u64, max_delay: u64) -> impl Strategy<Value = Vec<Change>> {
    let mut algorithms = Algorithm::NAMES.map(|(algorithm, _)| algorithm).to_vec();
    algorithms.extend(calendar_period(window).map(|_| Algorithm::Calendar));
    let algorithms = prop::sample::select(algorithms);
    let limits = prop_oneof![1_u32..5, 5_u32..40];
    let checks = (0..8_u8, 1..6_u32, 0..=max_delay);
    let change =
        (algorithms, limits, checks).prop_map(move |(algorithm, limit, (checks, cost, delay))| {
            Change { algorithm, limit, window, checks, cost, delay }
        });
    vec(change, 1..20)
}

/// Makes the same checks on the memory store and on the script with both log encodings. Fails if their decisions
/// differ, and calls `observe` after each check.
fn run_changes(
    source: &str,
    redis: &mut redis::Connection,
    other: &mut redis::Connection,
    case: u32,
    changes: &[Change],
    mut observe: impl FnMut(Change, bool) -> TestCaseResult,
) -> TestCaseResult {
    let clock = ManualClock::new();
    let memory = MemoryStore::new().clock(clock.clone());
    let mut packed = Script::new(redis, source, format!("packed-{case}"));
    let mut sorted = Script::new(other, source, format!("sorted-{case}")).with_sorted_sets();
    let (key, mut now) = (Key::global(), START);
    for change in changes {
        now += change.delay;
        let at = Duration::from_micros(now);
        clock.set(at);
        let request = BucketRequest::new(Bucket::new("p", 0, &key), change.quota(), change.cost);
        for number in 0..=change.checks {
            let operation = if number == 0 { Operation::Peek } else { Operation::Check };
            let from_memory = memory.apply(operation, &[request]).get().now_or_never().unwrap();
            let from_memory = outcome_of(&from_memory.unwrap());
            for script in [&mut packed, &mut sorted] {
                let from_script =
                    outcome_of(&script.call(operation, &[request], Some(at)).unwrap());
                prop_assert_eq!(
                    &from_script,
                    &from_memory,
                    "{:?} {:?} at {}",
                    operation,
                    change,
                    now
                );
            }
            if operation == Operation::Check {
                observe(*change, from_memory.0)?;
            }
        }
    }
    Ok(())
}

fn outcome_of(verdict: &Verdict) -> (bool, Vec<BucketStatus>) {
    (verdict.is_allowed(), verdict.statuses().collect())
}

/// Runs random changes, and returns a description of the first failure.
fn find_failure(
    source: &str,
    changes: impl Strategy<Value = Vec<Change>>,
    new_observer: impl Fn() -> Box<dyn FnMut(Change, bool) -> TestCaseResult>,
) -> Option<String> {
    let (server, source) = (RedisServer::start(), with_test_clock(source));
    let connections = RefCell::new((server.client(), server.client(), 0));
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&changes, |changes| {
        let (redis, other, case) = &mut *connections.borrow_mut();
        *case += 1;
        run_changes(&source, redis, other, *case, &changes, new_observer())
    });
    result.err().map(|failure| failure.to_string())
}

/// Returns the first difference between this script and the memory store for random changes.
pub fn difference(source: &str) -> Option<String> {
    let windows =
        prop_oneof![Just(1_000_u64), Just(60_000_000), 1_000_u64..1_000_000, Just(DAY), Just(YEAR)];
    let changes = windows.prop_flat_map(|window| changes(window, window / 3));
    find_failure(source, changes, || Box::new(|_, _| Ok(())))
}

#[test]
fn memory_and_script_agree_after_every_quota_change() {
    assert_eq!(difference(SOURCE), None);
}

/// The clock does not move in this test. The store must not admit a check if all admitted units together would exceed
/// the current limit.
#[test]
fn algorithm_and_limit_changes_never_refill() {
    let new_observer = || -> Box<dyn FnMut(Change, bool) -> TestCaseResult> {
        let mut admitted = 0;
        Box::new(move |change, is_allowed| {
            admitted += if is_allowed { change.cost } else { 0 };
            prop_assert!(!is_allowed || admitted <= change.limit, "{admitted} under {change:?}");
            Ok(())
        })
    };
    assert_eq!(find_failure(SOURCE, changes(YEAR, 0), new_observer), None);
}
