//! Random traces of all operations, costs, several quotas and several keys, against a model that keeps every time stamp.
//!
//! On failure the seed is printed, with which the same trace is made again, and the smallest trace that fails.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rateguard::{
    Algorithm,
    store::{Charge, Operation, Verdict},
};

use crate::{
    model::Rule,
    play::{Step, Subject, play},
    support::{
        lua::{SOURCE, Script, with_time_of_the_test},
        redis_server::RedisServer,
    },
};

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let algorithms =
        prop::sample::select(Algorithm::NAMES.map(|(algorithm, _)| algorithm).to_vec());
    let limits = prop_oneof![2 => Just(1), 2 => 1_u64..5, 2 => 5_u64..40, 1 => 40_u64..300];
    let windows =
        prop_oneof![Just(1_000), Just(60_000_000), 1_000_u64..1_000_000, Just(31_536_000_000_000)];
    let rule =
        (algorithms, limits, windows, 1_u64..60).prop_map(|(algorithm, limit, window, burst)| {
            match algorithm {
                // More in a year cannot be counted in whole units.
                Algorithm::TokenBucket => {
                    Rule { algorithm, limit: limit.min(40), window, capacity: burst }
                }
                _ => Rule { algorithm, limit, window, capacity: limit },
            }
        });
    prop_oneof![2 => vec(rule.clone(), 1), 1 => vec(rule, 2..4)]
}

pub fn traces() -> impl Strategy<Value = Vec<Step>> {
    let keys = prop_oneof![
        5 => (0..3_u8).prop_map(|key| vec![key]),
        1 => Just(vec![0, 1]),
        1 => Just(vec![2, 0, 1]),
    ];
    let operations = prop_oneof![
        12 => Just(Operation::Check),
        2 => Just(Operation::Peek),
        1 => Just(Operation::Charge),
    ];
    let costs = prop_oneof![4 => Just(1), 2 => 0_u64..8, 1 => 0_u64..60];
    let ask = (operations, keys, costs).prop_map(|(operation, keys, cost)| Step::Ask {
        operation,
        keys,
        cost,
    });
    let step = prop_oneof![
        30 => ask,
        4 => (0..4_usize, prop_oneof![Just(1_000), 0..1_000_u64])
            .prop_map(|(which, thousandths)| Step::GiveBack { which, thousandths }),
        1 => (0..3_u8).prop_map(|key| Step::Ask {
            operation: Operation::Reset,
            keys: vec![key],
            cost: 0
        }),
        8 => (0..400_u64).prop_map(|thousandths| Step::Advance { thousandths }),
        2 => Just(Step::Advance { thousandths: 1_000 }),
        3 => Just(Step::Tick),
        6 => Just(Step::WaitForRetry),
    ];
    vec(step, 1..120)
}

pub fn traces_with_clock_steps() -> impl Strategy<Value = Vec<Step>> {
    let back = (0..3_000_u64).prop_map(|thousandths| vec![Step::SetBack { thousandths }]);
    vec(prop_oneof![4 => traces(), 1 => back], 1..6).prop_map(|parts| parts.concat())
}

/// The script with packed logs.
struct Packed<'a>(Script<'a>);

impl Subject for Packed<'_> {
    const KEEPS_WHAT_IS_OVER: bool = false;

    fn apply(&mut self, operation: Operation, charges: &[Charge<'_>], now: u64) -> Verdict {
        ask(&mut self.0, operation, charges, now)
    }
}

/// The script with logs that are sorted sets.
struct Sorted<'a>(Script<'a>);

impl Subject for Sorted<'_> {
    const KEEPS_WHAT_IS_OVER: bool = true;

    fn apply(&mut self, operation: Operation, charges: &[Charge<'_>], now: u64) -> Verdict {
        ask(&mut self.0, operation, charges, now)
    }
}

fn ask(script: &mut Script<'_>, operation: Operation, charges: &[Charge<'_>], now: u64) -> Verdict {
    let reply = script.call(operation, charges, Some(Duration::from_micros(now)));
    reply.expect("the script answers")
}

/// How the script keeps its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    Packed,
    Sorted,
}

/// The seed of this run: a new one, or that of an earlier run.
pub fn seed() -> u64 {
    match env::var("RATEGUARD_SEED") {
        Ok(seed) => seed.parse().expect("RATEGUARD_SEED is a number"),
        Err(_) => rand_seed(),
    }
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one("seed")
}

pub fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Runs a property and says how many steps it made for each algorithm.
pub fn run(
    config: Config,
    traces: impl Strategy<Value = Vec<Step>>,
    property: impl Fn(&[Rule], &[Step]) -> Result<usize, TestCaseError>,
) -> Result<BTreeMap<&'static str, usize>, String> {
    let seed = seed();
    let random = TestRng::from_seed(RngAlgorithm::XorShift, &(u128::from(seed) + 1).to_le_bytes());
    let steps = RefCell::new(BTreeMap::new());
    TestRunner::new_with_rng(config, random)
        .run(&(rules(), traces), |(rules, trace)| {
            let made = property(&rules, &trace)?;
            for rule in &rules {
                *steps.borrow_mut().entry(rule.algorithm.name()).or_default() += made;
            }
            Ok(())
        })
        .map_err(|failure| format!("{failure}\nto see it again: RATEGUARD_SEED={seed}"))?;
    Ok(steps.into_inner())
}

/// That every algorithm made so many steps.
pub fn assert_steps(steps: Result<BTreeMap<&'static str, usize>, String>, each: usize) {
    let steps = steps.unwrap_or_else(|failure| panic!("{failure}"));
    for (_, name) in Algorithm::NAMES {
        assert!(steps[name] >= each, "{steps:?}");
    }
}

/// Plays traces on the script; the error tells what differs.
fn on_redis(
    source: &str,
    logs: Logs,
    config: Config,
    traces: impl Strategy<Value = Vec<Step>>,
) -> Result<BTreeMap<&'static str, usize>, String> {
    let server = RedisServer::start();
    let connection = RefCell::new(server.client());
    let source = with_time_of_the_test(source);
    let case = Cell::new(0_u64);
    run(config, traces, |rules, trace| {
        case.set(case.get() + 1);
        let mut connection = connection.borrow_mut();
        let prefix = format!("case-{}", case.get());
        play_on(Script::new(&mut connection, &source, prefix), logs, rules, trace)
    })
}

fn play_on(
    script: Script<'_>,
    logs: Logs,
    rules: &[Rule],
    trace: &[Step],
) -> Result<usize, TestCaseError> {
    match logs {
        Logs::Packed => play(rules, trace, &mut Packed(script)),
        Logs::Sorted => play(rules, trace, &mut Sorted(script.with_sorted_sets())),
    }
}

/// A log that is longer than what is read or written at once, most of which leaves again and again.
fn long_log_on_redis(source: &str, logs: Logs) -> Result<usize, String> {
    let algorithm = Algorithm::SlidingWindow;
    let rules = [Rule { algorithm, limit: 300, window: 1_000_000, capacity: 300 }];
    let ask = |operation, cost| Step::Ask { operation, keys: vec![0], cost };
    let trace: Vec<Step> = (0..400_u64)
        .flat_map(|step| {
            let mut steps = vec![ask(Operation::Check, 1 + step % 13), ask(Operation::Peek, 1)];
            match step % 50 {
                20 | 30 => steps.push(Step::GiveBack { which: 2, thousandths: 700 }),
                40 => steps.push(ask(Operation::Check, 200)),
                45 => steps.push(Step::WaitForRetry),
                49 => steps.push(Step::Advance { thousandths: 600 }),
                _ => {}
            }
            steps.push(Step::Advance { thousandths: 15 });
            steps
        })
        .collect();
    let server = RedisServer::start();
    let mut connection = server.client();
    let source = with_time_of_the_test(source);
    let script = Script::new(&mut connection, &source, "long".to_owned());
    // What cannot even be read is a difference, too.
    let played = catch_unwind(AssertUnwindSafe(|| play_on(script, logs, &rules, &trace)));
    played.map_err(|_| "it panics".to_owned())?.map_err(|failure| failure.to_string())
}

/// A difference between such a script and the model, if there is one.
pub fn difference(source: &str, logs: Logs) -> Option<String> {
    // It is not looked for the smallest.
    let config = |count| Config { max_shrink_iters: 0, ..cases(count) };
    // Some mistakes show only when the clock is set back, most of them at once: so a few such traces come early.
    long_log_on_redis(source, logs)
        .and_then(|_| on_redis(source, logs, config(10), traces()))
        .and_then(|_| on_redis(source, logs, config(20), traces_with_clock_steps()))
        .and_then(|_| on_redis(source, logs, config(1_000), traces()))
        .and_then(|_| on_redis(source, logs, config(1_000), traces_with_clock_steps()))
        .err()
}

#[test]
fn the_script_says_what_the_model_says() {
    assert_steps(on_redis(SOURCE, Logs::Packed, cases(4_500), traces()), 50_000);
}

#[test]
fn the_script_says_what_the_model_says_of_a_long_log() {
    for logs in [Logs::Packed, Logs::Sorted] {
        assert!(long_log_on_redis(SOURCE, logs).unwrap() > 800);
    }
}

#[test]
fn the_script_with_sorted_sets_says_what_the_model_says() {
    assert_steps(on_redis(SOURCE, Logs::Sorted, cases(2_000), traces()), 20_000);
}

#[test]
fn the_script_says_what_the_model_says_when_the_clock_is_set_back() {
    for logs in [Logs::Packed, Logs::Sorted] {
        assert_steps(on_redis(SOURCE, logs, cases(300), traces_with_clock_steps()), 2_000);
    }
}
