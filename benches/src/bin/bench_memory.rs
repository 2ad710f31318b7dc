//! Checks in memory, ours and governor's: nanoseconds of CPU time for each.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{hint::black_box, num::NonZeroU32, thread, time::Duration};

use cpu_time::ThreadTime;
use futures_util::FutureExt;
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use rateguard::{
    Algorithm, Key, MemoryStore, Policy, Quota, RateGuard,
    store::{Answer, Bucket, Charge, Operation, Store},
};
use rateguard_benches::{
    Outcome, cpu,
    figures::{Figures, table},
    settings::Settings,
};

const KEYS: u32 = 100_000;
const CHECKS: u32 = 1_000_000;
/// Keys are first seen in this order, and then asked for in that of their numbers, so that what was made one after the
/// other is not read so. It has no factor in common with the number of keys.
const STRIDE: u32 = 61_813;

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

    fn keys(self) -> u32 {
        if self == Self::Many { KEYS } else { 1 }
    }

    /// Of one key there come more in a millisecond than many limits admit in an hour, so its window is short.
    fn limit(self) -> (u32, Duration) {
        match self {
            Self::Hot => (1_000_000, Duration::from_millis(1)),
            Self::HotDenied => (1, Duration::from_secs(3600)),
            Self::Many => (10_000, Duration::from_secs(60)),
        }
    }
}

/// A limiter, made anew for each measurement.
type Limiter = Box<dyn Fn(u32) -> bool + Sync>;
type Subject = (&'static str, fn(Asked) -> Outcome<Limiter>);

const SUBJECTS: [Subject; 6] = [
    ("governor 0.10, `u64` keys", governor),
    ("RateGuard's store, `token_bucket`", |asked| store(asked, Algorithm::TokenBucket)),
    ("RateGuard's store, the log", |asked| store(asked, Algorithm::SlidingWindow)),
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
                    let measured = measure(&*make(asked)?, asked, threads);
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

/// Nanoseconds of CPU time for each check by one of so many threads.
fn measure(check: &(dyn Fn(u32) -> bool + Sync), asked: Asked, threads: u32) -> Outcome<f64> {
    let keys = asked.keys();
    for number in 0..keys {
        check((u64::from(number) * u64::from(STRIDE) % u64::from(keys)) as u32);
    }
    let expected = asked != Asked::HotDenied;
    let run = |thread: u32| -> Result<Duration, String> {
        let (start, first) = (ThreadTime::now(), thread * (keys / threads));
        for number in 0..CHECKS {
            if check(black_box((first + number) % keys)) != expected {
                return Err(format!("check {number} of {}: {}", asked.name(), !expected));
            }
        }
        Ok(start.elapsed())
    };
    let run = &run;
    let times: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|it| scope.spawn(move || run(it))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut all = Duration::ZERO;
    for time in times {
        all += time.map_err(|_| "a thread panicked")??;
    }
    Ok(all.as_nanos() as f64 / f64::from(CHECKS) / f64::from(threads))
}

fn governor(asked: Asked) -> Outcome<Limiter> {
    let (limit, window) = asked.limit();
    // Its clock may jump by milliseconds from one core of a virtual machine to another, and it would deny.
    let burst = if asked == Asked::Hot { u32::MAX } else { limit };
    let quota = governor::Quota::with_period(window / limit).ok_or("no period")?;
    let quota = quota.allow_burst(NonZeroU32::new(burst).ok_or("no limit")?);
    let limiter: DefaultKeyedRateLimiter<u64> = RateLimiter::keyed(quota);
    Ok(Box::new(move |key| limiter.check_key(&u64::from(key)).is_ok()))
}

fn quota(asked: Asked, algorithm: Algorithm) -> Outcome<Quota> {
    let (limit, window) = asked.limit();
    Ok(Quota::new(limit, window)?.with_algorithm(algorithm)?)
}

/// With room for all keys: they spread over shards, of which each has a bound of its own.
fn memory() -> MemoryStore {
    MemoryStore::new().max_keys(2 * KEYS as usize)
}

fn ready(asked: Asked) -> Vec<Key> {
    (0..asked.keys()).map(|key| Key::from(u64::from(key))).collect()
}

fn store(asked: Asked, algorithm: Algorithm) -> Outcome<Limiter> {
    let (store, quota, keys) = (memory(), quota(asked, algorithm)?, ready(asked));
    Ok(Box::new(move |key| {
        let bucket = Bucket::new("bench", 0, &keys[key as usize]);
        match store.apply(Operation::Check, &[Charge::new(bucket, quota, 1)]) {
            Answer::Now(Ok(verdict)) => verdict.is_allowed(),
            _ => false,
        }
    }))
}

fn guard_and_policy(asked: Asked, algorithm: Algorithm) -> Outcome<(RateGuard, Policy)> {
    let guard = RateGuard::builder().store(memory()).build()?;
    Ok((guard, Policy::new("bench", quota(asked, algorithm)?)?))
}

fn guard(asked: Asked, algorithm: Algorithm) -> Outcome<Limiter> {
    let ((guard, policy), keys) = (guard_and_policy(asked, algorithm)?, ready(asked));
    Ok(Box::new(move |key| allows(&guard, &policy, &keys[key as usize])))
}

fn allows(guard: &RateGuard, policy: &Policy, key: &Key) -> bool {
    // The store in memory answers at once.
    guard.check(policy, key).now_or_never().is_some_and(|it| it.is_ok_and(|it| it.is_allowed()))
}
