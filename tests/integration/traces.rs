//! Random traces of checks and time steps against a model that keeps every time stamp.
//!
//! On failure proptest prints the smallest trace that fails.

use std::{collections::BTreeMap, time::Duration};

use futures_util::FutureExt;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rateguard::{Algorithm, Key, Policy, Quota};

use crate::{
    model::{Model, Rule, Said, is_one_too_many},
    support::{clock::guard_with_clock, redis_server::RedisServer},
};

#[derive(Clone, Debug)]
enum Step {
    Check {
        key: u8,
    },
    /// A fraction of the window, in thousandths.
    Advance {
        thousandths: u64,
    },
    /// One tick of the clock.
    Tick,
    /// To one tick before the moment at which the last denied request gets in, then to that moment.
    WaitForRetry,
    SetBack {
        thousandths: u64,
    },
}

fn rules() -> impl Strategy<Value = Rule> {
    let algorithms =
        prop::sample::select(Algorithm::NAMES.map(|(algorithm, _)| algorithm).to_vec());
    let limits = prop_oneof![Just(1), 1_u64..5, 5_u64..40];
    let windows =
        prop_oneof![Just(1_000), Just(60_000_000), 1_000_u64..1_000_000, Just(31_536_000_000_000)];
    (algorithms, limits, windows, 1_u64..60).prop_map(|(algorithm, limit, window, burst)| {
        let capacity = if algorithm == Algorithm::TokenBucket { burst } else { limit };
        Rule { algorithm, limit, window, capacity }
    })
}

fn traces() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..3_u8).prop_map(|key| Step::Check { key }),
        3 => (0..400_u64).prop_map(|thousandths| Step::Advance { thousandths }),
        1 => Just(Step::Advance { thousandths: 1_000 }),
        1 => Just(Step::Tick),
        2 => Just(Step::WaitForRetry),
    ];
    vec(step, 1..120)
}

fn traces_with_clock_steps() -> impl Strategy<Value = Vec<Step>> {
    let back = (0..3_000_u64).prop_map(|thousandths| vec![Step::SetBack { thousandths }]);
    vec(prop_oneof![4 => traces(), 1 => back], 1..6).prop_map(|parts| parts.concat())
}

/// One store's side of the comparison.
trait Checker {
    /// Whether what was over stays until the next admission. If not, a clock that is set back may find it gone, and only
    /// the promises can be checked from then on: the limit, the longest wait, and that waiting helps.
    const KEEPS_WHAT_IS_OVER: bool;

    fn check(&mut self, key: u8, now: u64) -> Said;
}

/// Where the clock begins: far enough from 0 to be set back.
const START: u64 = 1_800_000_000_000_000;

/// Plays a trace on a store and on the model.
fn play<S: Checker>(rule: Rule, trace: &[Step], store: &mut S) -> Result<usize, TestCaseError> {
    let mut models: BTreeMap<u8, Model> = BTreeMap::new();
    // By key: when requests were admitted, by a clock that is never set back.
    let mut truly_admitted: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    // The clock, and by how much it has been set back altogether.
    let (mut now, mut set_back) = (START, 0);
    let mut last_denied: Option<(u8, u64)> = None;
    let mut checks = 0;

    let mut check = |key: u8, now: u64, set_back: u64| -> Result<Said, TestCaseError> {
        checks += 1;
        let said = store.check(key, now);
        let expected = models.entry(key).or_default().check(rule, now);
        // What was over and is there again counts with the log alone.
        let is_kept = S::KEEPS_WHAT_IS_OVER && rule.algorithm == Algorithm::SlidingWindow;
        if is_kept || set_back == 0 {
            prop_assert_eq!(&said, &expected);
        }
        if let Said::Allowed { .. } = said {
            let admitted = truly_admitted.entry(key).or_default();
            admitted.push(now + set_back);
            prop_assert!(!is_one_too_many(rule, admitted), "more than the quota");
        }
        Ok(said)
    };

    for step in trace {
        match *step {
            Step::Advance { thousandths } => now += rule.window * thousandths / 1_000,
            Step::Tick => now += 1,
            Step::SetBack { thousandths } => {
                now -= rule.window * thousandths / 1_000;
                set_back += rule.window * thousandths / 1_000;
                last_denied = None;
            }
            Step::Check { key } => match check(key, now, set_back)? {
                Said::Denied { retry } => {
                    let possible = 1..=rule.longest_wait();
                    prop_assert!(possible.contains(&retry), "locked out for longer than can be");
                    last_denied = Some((key, now + retry));
                }
                Said::Allowed { .. } => last_denied = None,
            },
            Step::WaitForRetry => {
                if let Some((key, then)) = last_denied.take().filter(|(_, then)| *then > now) {
                    prop_assert_eq!(check(key, then - 1, set_back)?, Said::Denied { retry: 1 });
                    let allowed = matches!(check(key, then, set_back)?, Said::Allowed { .. });
                    prop_assert!(allowed, "waited as long as told, and in vain");
                    now = then;
                }
            }
        }
    }
    Ok(checks)
}

/// The in-memory store, through the guard.
struct Memory {
    guard: rateguard::RateGuard,
    clock: crate::support::clock::StillClock,
    policy: Policy,
}

impl Memory {
    fn new(rule: Rule) -> Self {
        let (guard, clock) = guard_with_clock();
        Self { guard, clock, policy: Policy::new("model", rule.quota()).unwrap() }
    }
}

impl Checker for Memory {
    const KEEPS_WHAT_IS_OVER: bool = false;

    fn check(&mut self, key: u8, now: u64) -> Said {
        self.clock.set(now);
        let decision = self
            .guard
            .check(&self.policy, &Key::from_parts([[key]]))
            .now_or_never()
            .unwrap()
            .unwrap();
        let micros = |duration: Duration| duration.as_micros() as u64;
        match decision.retry_after() {
            None => Said::Allowed {
                remaining: decision.remaining().into(),
                reset: micros(decision.reset_after()),
            },
            Some(retry) => {
                assert_eq!((decision.remaining(), decision.reset_after()), (0, retry));
                Said::Denied { retry: micros(retry) }
            }
        }
    }
}

/// The script, at a time that the test sets in place of the server's.
struct Script<'a> {
    connection: &'a mut redis::Connection,
    source: &'a str,
    quota: Quota,
    prefix: String,
    members: u64,
}

const SOURCE: &str = concat!(
    include_str!("../../rateguard/src/algorithm/begin.lua"),
    include_str!("../../rateguard/src/algorithm/sliding_window.lua"),
    include_str!("../../rateguard/src/algorithm/sliding_window_counter.lua"),
    include_str!("../../rateguard/src/algorithm/fixed_window.lua"),
    include_str!("../../rateguard/src/algorithm/token_bucket.lua"),
    include_str!("../../rateguard/src/algorithm/decide.lua"),
);

/// The script with the time of the test, and keys that outlive the test however slow it is.
fn source_with_time_of_the_test() -> String {
    let replace = |source: String, what: &str, by: &str| {
        assert_eq!(source.matches(what).count(), 1, "{what}");
        source.replace(what, by)
    };
    let source = replace(SOURCE.to_owned(), "redis.call('TIME')", "{ ARGV[7], ARGV[8] }");
    replace(source, "MARGIN_MS = 1000", "MARGIN_MS = 3600000")
}

impl Checker for Script<'_> {
    const KEEPS_WHAT_IS_OVER: bool = true;

    fn check(&mut self, key: u8, now: u64) -> Said {
        self.members += 1;
        let (units, refill) = self.quota.token();
        let (allowed, remaining, reset, retry): (u64, u64, u64, u64) = redis::cmd("EVAL")
            .arg(self.source)
            .arg(1)
            .arg(format!("{}:{key}", self.prefix))
            .arg(self.quota.algorithm().to_string())
            .arg(self.members)
            .arg(self.quota.window().as_micros() as u64)
            .arg(self.quota.capacity())
            .arg(units)
            .arg(refill)
            .arg(now / 1_000_000)
            .arg(now % 1_000_000)
            .query(self.connection)
            .unwrap();
        match allowed {
            1 => {
                assert_eq!(retry, 0);
                Said::Allowed { remaining, reset }
            }
            _ => {
                assert_eq!((allowed, remaining, reset), (0, 0, retry));
                Said::Denied { retry }
            }
        }
    }
}

/// Runs a property and says how many checks it made.
fn run(
    cases: u32,
    traces: impl Strategy<Value = Vec<Step>>,
    property: impl Fn(Rule, &[Step]) -> Result<usize, TestCaseError>,
) -> usize {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let checks = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&(rules(), traces), |(rule, trace)| {
            checks.set(checks.get() + property(rule, &trace)?);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    checks.get()
}

#[test]
fn memory_says_what_the_model_says() {
    let checks = run(3_000, traces(), |rule, trace| play(rule, trace, &mut Memory::new(rule)));
    assert!(checks > 100_000, "{checks}");
}

#[test]
fn memory_says_what_the_model_says_when_the_clock_is_set_back() {
    run(1_000, traces_with_clock_steps(), |rule, trace| play(rule, trace, &mut Memory::new(rule)));
}

fn on_redis(cases: u32, traces: impl Strategy<Value = Vec<Step>>) -> usize {
    let server = RedisServer::start();
    let connection = std::cell::RefCell::new(server.client());
    let source = source_with_time_of_the_test();
    let case = std::cell::Cell::new(0_u64);
    run(cases, traces, |rule, trace| {
        case.set(case.get() + 1);
        let mut connection = connection.borrow_mut();
        let prefix = format!("case-{}", case.get());
        let mut script = Script {
            connection: &mut connection,
            source: &source,
            quota: rule.quota(),
            prefix,
            members: 0,
        };
        play(rule, trace, &mut script)
    })
}

#[test]
fn the_script_says_what_the_model_says() {
    let checks = on_redis(600, traces());
    assert!(checks > 20_000, "{checks}");
}

#[test]
fn the_script_says_what_the_model_says_when_the_clock_is_set_back() {
    on_redis(200, traces_with_clock_steps());
}
