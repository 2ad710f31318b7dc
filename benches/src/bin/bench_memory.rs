//! Checks in memory, ours and governor's: nanoseconds of CPU time for each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{hint::black_box, num::NonZeroU32, time::Duration};

use futures_util::FutureExt;
use governor::{
    DefaultKeyedRateLimiter, RateLimiter, clock::MonotonicClock,
    middleware::StateInformationMiddleware,
};
use rateguard::{Algorithm, Key, Policy, RateGuard};
use rateguard_benches::{
    Outcome, cpu,
    figures::{Figures, table},
    in_memory::{Limiter, Load},
    settings::Settings,
};

const KEYS: u32 = 100_000;
const CHECKS: u32 = 1_000_000;

/// How many keys, and what comes of the checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Hot,
    HotDenied,
    Many,
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Hot => "one key, allowed",
            Self::HotDenied => "one key, denied",
            Self::Many => "100,000 keys, allowed",
        }
    }

    /// Of one key there come more in a millisecond than many limits admit in an hour, so its window is short.
    fn load(self) -> Load {
        let (keys, limit) = match self {
            Self::Hot => (1, (1_000_000, Duration::from_millis(1))),
            Self::HotDenied => (1, (1, Duration::from_secs(3600))),
            Self::Many => (KEYS, (10_000, Duration::from_secs(60))),
        };
        Load { keys, limit, is_allowed: self != Self::HotDenied }
    }
}

type Subject = (&'static str, fn(Asked) -> Outcome<Limiter>);

const SUBJECTS: [Subject; 7] = [
    ("governor 0.10, `u64` keys", governor),
    ("the same by the system's clock, with what remains", governor_alike),
    ("RateGuard's store, `token_bucket`", |asked| asked.load().store(Algorithm::TokenBucket)),
    ("RateGuard's store, the log", |asked| asked.load().store(Algorithm::SlidingWindow)),
    ("`guard.check`, `token_bucket`", |asked| guard(asked, Algorithm::TokenBucket)),
    ("`guard.check`, the log", |asked| guard(asked, Algorithm::SlidingWindow)),
    ("`Key::from(u64)` and `guard.check`, the log", |asked| {
        let (guard, policy) = guard_and_policy(asked, Algorithm::SlidingWindow)?;
        Ok(Box::new(move |key| allows(&guard, &policy, &Key::from(u64::from(key)))))
    }),
];

fn main() -> Outcome {
    let settings = Settings::read()?;
    println!("{}; {} rounds of {CHECKS} checks by each thread\n", cpu::machine(), settings.rounds);
    for asked in [Asked::Hot, Asked::HotDenied, Asked::Many] {
        for threads in [1, 2] {
            let mut rounds = SUBJECTS.map(|_| Figures::default());
            for _ in 0..settings.rounds {
                for ((name, make), rounds) in SUBJECTS.iter().zip(&mut rounds) {
                    let measured = asked.load().measure(&make(asked)?, threads, CHECKS);
                    rounds.0.push(measured.map_err(|error| format!("{name}: {error}"))?);
                }
            }
            print(&format!("{}, threads: {threads}", asked.name()), &rounds);
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

fn governor(asked: Asked) -> Outcome<Limiter> {
    let limiter: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(governor_quota(asked)?);
    Ok(Box::new(move |key| limiter.check_key(&u64::from(key)).is_ok()))
}

/// With the clock that we have, which cannot go wrong by the processor's, and an answer that says how much is left.
fn governor_alike(asked: Asked) -> Outcome<Limiter> {
    let quota = governor_quota(asked)?;
    let limiter = RateLimiter::dashmap_with_clock(quota, MonotonicClock)
        .with_middleware::<StateInformationMiddleware>();
    Ok(Box::new(move |key| {
        let state = limiter.check_key(&u64::from(key));
        state.is_ok_and(|state| black_box(state.remaining_burst_capacity()) < u32::MAX)
    }))
}

fn governor_quota(asked: Asked) -> Outcome<governor::Quota> {
    let (limit, window) = asked.load().limit;
    // Its clock may jump by milliseconds from one core of a virtual machine to another, and it would deny.
    let burst = if asked == Asked::Hot { u32::MAX } else { limit };
    let quota = governor::Quota::with_period(window / limit).ok_or("no period")?;
    Ok(quota.allow_burst(NonZeroU32::new(burst).ok_or("no limit")?))
}

fn guard_and_policy(asked: Asked, algorithm: Algorithm) -> Outcome<(RateGuard, Policy)> {
    let guard = RateGuard::builder().store(asked.load().memory()).build()?;
    Ok((guard, Policy::new("bench", asked.load().quota(algorithm)?)?))
}

fn guard(asked: Asked, algorithm: Algorithm) -> Outcome<Limiter> {
    let ((guard, policy), keys) = (guard_and_policy(asked, algorithm)?, asked.load().ready());
    Ok(Box::new(move |key| allows(&guard, &policy, &keys[key as usize])))
}

fn allows(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    // The store in memory answers at once.
    guard.check(policy, key).now_or_never().is_some_and(|it| it.is_ok_and(|it| it.is_allowed()))
}
