//! Random changes of algorithm and limit: memory and both forms of the script say the same, and none is a refill.

use std::{cell::RefCell, time::Duration};

use futures_util::FutureExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseResult, TestRunner},
};
use rateguard::{
    Algorithm, Key, MemoryStore, Quota,
    store::{Bucket, Charge, Level, Operation, Store, Verdict},
    test_util::ManualClock,
};

use crate::{
    play::START,
    support::{
        lua::{SOURCE, Script, with_time_of_the_test},
        redis_server::RedisServer,
    },
};

/// A year, in which nothing comes back while a test runs.
const YEAR: u64 = 31_536_000_000_000;

/// A quota, and what is asked for under it after so long.
#[derive(Clone, Copy, Debug)]
struct Change {
    algorithm: Algorithm,
    limit: u32,
    window: u64,
    asks: u8,
    cost: u32,
    after: u64,
}

impl Change {
    fn quota(self) -> Quota {
        let quota = Quota::new(self.limit, Duration::from_micros(self.window)).unwrap();
        quota.with_algorithm(self.algorithm).unwrap()
    }
}

/// Under one window, as what is over under a shorter one may be gone or not when it is longer again.
fn changes(window: u64, most_after: u64) -> impl Strategy<Value = Vec<Change>> {
    let algorithms =
        prop::sample::select(Algorithm::NAMES.map(|(algorithm, _)| algorithm).to_vec());
    let limits = prop_oneof![1_u32..5, 5_u32..40];
    let asked = (0..8_u8, 1..6_u32, 0..=most_after);
    let change =
        (algorithms, limits, asked).prop_map(move |(algorithm, limit, (asks, cost, after))| {
            Change { algorithm, limit, window, asks, cost, after }
        });
    vec(change, 1..20)
}

/// Asks memory and both forms of the script for all of it. They have to say the same; `see` is told each verdict.
fn play(
    source: &str,
    redis: &mut redis::Connection,
    other: &mut redis::Connection,
    case: u32,
    changes: &[Change],
    mut see: impl FnMut(Change, bool) -> TestCaseResult,
) -> TestCaseResult {
    let clock = ManualClock::new();
    let memory = MemoryStore::new().clock(clock.clone());
    let mut packed = Script::new(redis, source, format!("packed-{case}"));
    let mut sorted = Script::new(other, source, format!("sorted-{case}")).with_sorted_sets();
    let (key, mut now) = (Key::global(), START);
    for change in changes {
        now += change.after;
        let at = Duration::from_micros(now);
        clock.set(at);
        let charge = Charge::new(Bucket::new("p", 0, &key), change.quota(), change.cost);
        for ask in 0..=change.asks {
            let operation = if ask == 0 { Operation::Peek } else { Operation::Check };
            let of_memory = memory.apply(operation, &[charge]).get().now_or_never().unwrap();
            let of_memory = told(&of_memory.unwrap());
            for script in [&mut packed, &mut sorted] {
                let of_script = told(&script.call(operation, &[charge], Some(at)).unwrap());
                prop_assert_eq!(&of_script, &of_memory, "{:?} {:?} at {}", operation, change, now);
            }
            if operation == Operation::Check {
                see(*change, of_memory.0)?;
            }
        }
    }
    Ok(())
}

fn told(verdict: &Verdict) -> (bool, Vec<Level>) {
    (verdict.is_allowed(), verdict.levels().collect())
}

/// What differs, or is wrong, under these changes.
fn run(
    source: &str,
    changes: impl Strategy<Value = Vec<Change>>,
    see: impl Fn() -> Box<dyn FnMut(Change, bool) -> TestCaseResult>,
) -> Option<String> {
    let (server, source) = (RedisServer::start(), with_time_of_the_test(source));
    let connections = RefCell::new((server.client(), server.client(), 0));
    let config = Config { cases: 600, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&changes, |changes| {
        let (redis, other, case) = &mut *connections.borrow_mut();
        *case += 1;
        play(&source, redis, other, *case, &changes, see())
    });
    result.err().map(|failure| failure.to_string())
}

/// Where such a script says something else than memory after a change.
pub fn difference(source: &str) -> Option<String> {
    let windows = prop_oneof![Just(1_000_u64), Just(60_000_000), 1_000_u64..1_000_000, Just(YEAR)];
    let changes = windows.prop_flat_map(|window| changes(window, window / 3));
    run(source, changes, || Box::new(|_, _| Ok(())))
}

#[test]
fn memory_and_the_script_say_the_same_after_every_change() {
    assert_eq!(difference(SOURCE), None);
}

/// While no time passes, no more is admitted than under the highest of the limits.
#[test]
fn no_change_of_algorithm_and_limit_is_a_refill() {
    let see = || -> Box<dyn FnMut(Change, bool) -> TestCaseResult> {
        let mut admitted = 0;
        Box::new(move |change, is_allowed| {
            admitted += if is_allowed { change.cost } else { 0 };
            prop_assert!(!is_allowed || admitted <= change.limit, "{admitted} under {change:?}");
            Ok(())
        })
    };
    assert_eq!(run(SOURCE, changes(YEAR, 0), see), None);
}
