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
use rateguard::{Key, Policy, Quota};

use crate::support::{clock::guard_with_clock, redis_server::RedisServer};

/// What a check says, in microseconds.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Allowed { remaining: u64, reset: u64 },
    Denied { retry: u64 },
}

/// All that was ever admitted for one key, but for what an admission has found to be over.
#[derive(Default)]
struct Model {
    admitted: Vec<u64>,
}

impl Model {
    fn check(&mut self, limit: u64, window: u64, now: u64) -> Said {
        // A clock that was set back: what it has not reached yet is taken for now.
        for at in &mut self.admitted {
            *at = (*at).min(now);
        }
        let live: Vec<u64> = self.admitted.iter().copied().filter(|at| at + window > now).collect();
        let left_at = |then: u64| live.iter().filter(|at| *at + window > then).count() as u64;
        if left_at(now) < limit {
            self.admitted = [&live[..], &[now]].concat();
            let oldest = live.iter().copied().chain([now]).min().unwrap();
            return Said::Allowed {
                remaining: limit - left_at(now) - 1,
                reset: oldest + window - now,
            };
        }
        // It gets in at the first moment at which somebody leaves and fewer than the limit are left.
        let first = live.iter().map(|at| at + window).filter(|then| left_at(*then) < limit).min();
        Said::Denied { retry: first.unwrap() - now }
    }
}

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

fn quotas() -> impl Strategy<Value = (u64, u64)> {
    let windows =
        prop_oneof![Just(1_000), Just(60_000_000), 1_000_u64..1_000_000, Just(31_536_000_000_000)];
    (prop_oneof![Just(1), 1_u64..5, 5_u64..40], windows)
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
fn play<S: Checker>(
    (limit, window): (u64, u64),
    trace: &[Step],
    store: &mut S,
) -> Result<usize, TestCaseError> {
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
        let expected = models.entry(key).or_default().check(limit, window, now);
        if S::KEEPS_WHAT_IS_OVER || set_back == 0 {
            prop_assert_eq!(&said, &expected);
        }
        if let Said::Allowed { .. } = said {
            let true_now = now + set_back;
            let admitted = truly_admitted.entry(key).or_default();
            admitted.push(true_now);
            if let Some(earlier) = admitted.len().checked_sub(limit as usize + 1) {
                let span = true_now - admitted[earlier];
                prop_assert!(span >= window, "more than the limit in one window");
            }
        }
        Ok(said)
    };

    for step in trace {
        match *step {
            Step::Advance { thousandths } => now += window * thousandths / 1_000,
            Step::Tick => now += 1,
            Step::SetBack { thousandths } => {
                now -= window * thousandths / 1_000;
                set_back += window * thousandths / 1_000;
                last_denied = None;
            }
            Step::Check { key } => match check(key, now, set_back)? {
                Said::Denied { retry } => {
                    prop_assert!((1..=window).contains(&retry), "locked out for a window at most");
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
    fn new((limit, window): (u64, u64)) -> Self {
        let (guard, clock) = guard_with_clock();
        let quota = Quota::new(limit as u32, Duration::from_micros(window)).unwrap();
        Self { guard, clock, policy: Policy::new("model", quota).unwrap() }
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
    quota: (u64, u64),
    prefix: String,
    members: u64,
}

const SOURCE: &str = include_str!("../../rateguard/src/algorithm/sliding_window.lua");

/// The script with the time of the test, and keys that outlive the test however slow it is.
fn source_with_time_of_the_test() -> String {
    let replace = |source: String, what: &str, by: &str| {
        assert_eq!(source.matches(what).count(), 1, "{what}");
        source.replace(what, by)
    };
    let source = replace(SOURCE.to_owned(), "redis.call('TIME')", "{ ARGV[4], ARGV[5] }");
    replace(source, "MARGIN_MS = 1000", "MARGIN_MS = 3600000")
}

impl Checker for Script<'_> {
    const KEEPS_WHAT_IS_OVER: bool = true;

    fn check(&mut self, key: u8, now: u64) -> Said {
        self.members += 1;
        let (limit, window) = self.quota;
        let (allowed, remaining, reset, retry): (u64, u64, u64, u64) = redis::cmd("EVAL")
            .arg(self.source)
            .arg(1)
            .arg(format!("{}:{key}", self.prefix))
            .arg(limit)
            .arg(window)
            .arg(self.members)
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
    property: impl Fn((u64, u64), &[Step]) -> Result<usize, TestCaseError>,
) -> usize {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let checks = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&(quotas(), traces), |(quota, trace)| {
            checks.set(checks.get() + property(quota, &trace)?);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    checks.get()
}

#[test]
fn memory_says_what_the_model_says() {
    let checks = run(3_000, traces(), |quota, trace| play(quota, trace, &mut Memory::new(quota)));
    assert!(checks > 100_000, "{checks}");
}

#[test]
fn memory_says_what_the_model_says_when_the_clock_is_set_back() {
    run(1_000, traces_with_clock_steps(), |quota, trace| {
        play(quota, trace, &mut Memory::new(quota))
    });
}

fn on_redis(cases: u32, traces: impl Strategy<Value = Vec<Step>>) -> usize {
    let server = RedisServer::start();
    let connection = std::cell::RefCell::new(server.client());
    let source = source_with_time_of_the_test();
    let case = std::cell::Cell::new(0_u64);
    run(cases, traces, |quota, trace| {
        case.set(case.get() + 1);
        let mut connection = connection.borrow_mut();
        let prefix = format!("case-{}", case.get());
        let mut script =
            Script { connection: &mut connection, source: &source, quota, prefix, members: 0 };
        play(quota, trace, &mut script)
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
