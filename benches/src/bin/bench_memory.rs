//! Checks in memory by RateGuard and by governor: the CPU time in nanoseconds per check.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{hint::black_box, num::NonZeroU32, time::Duration};

use actix_rateguard::{Algorithm, Key, Policy, RateGuard};
use futures_util::FutureExt;
use governor::{
    DefaultKeyedRateLimiter, RateLimiter, clock::MonotonicClock,
    middleware::StateInformationMiddleware,
};
use rateguard_benches::{
    BenchResult, cpu,
    figures::{Figures, table},
    in_memory::{Limiter, MemoryLoad},
    settings::Settings,
};

const KEYS: u32 = 100_000;
const CHECKS: u32 = 1_000_000;

/// The number of keys, and the result of the checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scenario {
    Hot,
    HotDenied,
    Many,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Hot => "one key, allowed",
            Self::HotDenied => "one key, denied",
            Self::Many => "100,000 keys, allowed",
        }
    }

    /// The parameters. With one key there are more checks per millisecond than most limits admit per hour, so its
    /// window is short.
    fn load(self) -> MemoryLoad {
        let (keys, limit) = match self {
            Self::Hot => (1, (1_000_000, Duration::from_millis(1))),
            Self::HotDenied => (1, (1, Duration::from_secs(3600))),
            Self::Many => (KEYS, (10_000, Duration::from_secs(60))),
        };
        MemoryLoad { keys, limit, is_allowed: self != Self::HotDenied }
    }
}

type Subject = (&'static str, fn(Scenario) -> BenchResult<Limiter>);

const SUBJECTS: [Subject; 7] = [
    ("governor 0.10, `u64` keys", governor),
    ("governor 0.10, `MonotonicClock`, remaining burst", governor_like_rateguard),
    ("RateGuard's store, `token_bucket`", |scenario| scenario.load().store(Algorithm::TokenBucket)),
    ("RateGuard's store, the log", |scenario| scenario.load().store(Algorithm::SlidingWindow)),
    ("`guard.check`, `token_bucket`", |scenario| guard(scenario, Algorithm::TokenBucket)),
    ("`guard.check`, the log", |scenario| guard(scenario, Algorithm::SlidingWindow)),
    ("`Key::from(u64)` and `guard.check`, the log", |scenario| {
        let (guard, policy) = guard_and_policy(scenario, Algorithm::SlidingWindow)?;
        Ok(Box::new(move |key| allows(&guard, &policy, &Key::from(u64::from(key)))))
    }),
];

fn main() -> BenchResult {
    let settings = Settings::read()?;
    println!("{}; {} rounds of {CHECKS} checks by each thread\n", cpu::machine(), settings.rounds);
    for scenario in [Scenario::Hot, Scenario::HotDenied, Scenario::Many] {
        for threads in [1, 2] {
            let mut rounds = SUBJECTS.map(|_| Figures::default());
            for _ in 0..settings.rounds {
                for ((name, make), rounds) in SUBJECTS.iter().zip(&mut rounds) {
                    let measured = scenario.load().measure(&make(scenario)?, threads, CHECKS);
                    rounds.0.push(measured.map_err(|error| format!("{name}: {error}"))?);
                }
            }
            print(&format!("{}, threads: {threads}", scenario.name()), &rounds);
        }
    }
    Ok(())
}

fn print(title: &str, rounds: &[Figures]) {
    let row = |((name, _), figures): (&Subject, &Figures)| {
        vec![(*name).to_owned(), figures.show(0), figures.over(&rounds[0]).show(2)]
    };
    let rows: Vec<_> = SUBJECTS.iter().zip(rounds).map(row).collect();
    println!("{}", table(&[title, "CPU ns/check", "over governor's"], &rows));
}

fn governor(scenario: Scenario) -> BenchResult<Limiter> {
    let limiter: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(governor_quota(scenario)?);
    Ok(Box::new(move |key| limiter.check_key(&u64::from(key)).is_ok()))
}

/// Uses the same clock as RateGuard instead of the processor's counter, and returns the remaining burst.
fn governor_like_rateguard(scenario: Scenario) -> BenchResult<Limiter> {
    let quota = governor_quota(scenario)?;
    let limiter = RateLimiter::dashmap_with_clock(quota, MonotonicClock)
        .with_middleware::<StateInformationMiddleware>();
    Ok(Box::new(move |key| {
        let state = limiter.check_key(&u64::from(key));
        state.is_ok_and(|state| black_box(state.remaining_burst_capacity()) < u32::MAX)
    }))
}

fn governor_quota(scenario: Scenario) -> BenchResult<governor::Quota> {
    let (limit, window) = scenario.load().limit;
    // The processor's counter may differ by milliseconds between the cores of a virtual machine, so governor could
    // deny.
    let burst = if scenario == Scenario::Hot { u32::MAX } else { limit };
    let quota = governor::Quota::with_period(window / limit).ok_or("no period")?;
    Ok(quota.allow_burst(NonZeroU32::new(burst).ok_or("no limit")?))
}

fn guard_and_policy(scenario: Scenario, algorithm: Algorithm) -> BenchResult<(RateGuard, Policy)> {
    let guard = RateGuard::builder().store(scenario.load().memory()).build()?;
    Ok((guard, Policy::new("bench", scenario.load().quota(algorithm)?)?))
}

fn guard(scenario: Scenario, algorithm: Algorithm) -> BenchResult<Limiter> {
    let ((guard, policy), keys) = (guard_and_policy(scenario, algorithm)?, scenario.load().keys());
    Ok(Box::new(move |key| allows(&guard, &policy, &keys[key as usize])))
}

fn allows(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    // The memory store decides immediately.
    guard.check(policy, key).now_or_never().is_some_and(|it| it.is_ok_and(|it| it.is_allowed()))
}
