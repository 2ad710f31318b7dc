//! Floods the memory store with keys that are used only once: `flood KEYS CAP RATE`. KEYS is the number of these
//! keys, CAP is the maximum number of keys in the store, and RATE is the rate limit of each key. The program
//! prints one line for each measured figure, with the name and the value of the figure.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    fs,
    time::{Duration, Instant},
};

use actix_rateguard::{Decision, Key, MemoryStore, Policy, RateGuard, test_util::ManualClock};
use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// The time by which the clock advances for each check of the flood. The guard therefore gets 100,000 checks of
/// the flood per second on this clock.
const TICK: Duration = Duration::from_micros(10);
/// The number of flood checks for each check of a legitimate key.
const FLOOD_CHECKS: u64 = 100;
/// The number of legitimate keys. Each of these keys is used repeatedly.
const LEGITIMATE_KEYS: u64 = 50;
/// The number of intervals in the histogram of check durations. Each interval is 10 ns long.
const STEPS: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [keys, cap, rate] =
        <[String; 3]>::try_from(args).map_err(|_| "usage: flood KEYS CAP RATE")?;
    let (keys, cap): (u64, usize) = (keys.parse()?, cap.parse()?);

    let clock = ManualClock::new();
    let store = MemoryStore::new().max_keys(cap).clock(clock.clone());
    let guard = RateGuard::builder().store(store).build()?;
    let policy = Policy::new("flood", rate)?;
    let check = |policy: &Policy, key: &Key| -> Result<Decision, Box<dyn Error>> {
        clock.advance(TICK);
        let decision = guard.check(policy, key).now_or_never();
        Ok(decision.ok_or("expected an immediate decision of the memory store")??)
    };

    let (strict, denied) = (Policy::new("strict", "3/day")?, Key::from("denied"));
    for _ in 0..3 {
        check(&strict, &denied)?;
    }
    let mut times = vec![1_u32; STEPS];
    times.fill(0);
    let mut random = SmallRng::seed_from_u64(1);
    let (mut freed, mut admitted, mut legitimate, mut legitimate_admitted) = (0, 0, 0, 0);
    let before = memory()?;
    for number in 0..keys {
        let key = Key::from(random.random::<u64>());
        let start = Instant::now();
        let decision = check(&policy, &key)?;
        let step = (start.elapsed().as_nanos() / 10) as usize;
        times[step.min(STEPS - 1)] += 1;
        admitted += u64::from(decision.is_allowed());
        if number % FLOOD_CHECKS == 0 {
            freed += u64::from(check(&strict, &denied)?.is_allowed());
            // Until the store is full, it admits every new key. Therefore checks of legitimate keys during the first
            // tenth of the flood are not counted.
            if number > keys / 10 {
                let key = Key::from((number / FLOOD_CHECKS % LEGITIMATE_KEYS, "innocent"));
                legitimate += 1;
                legitimate_admitted += u64::from(check(&policy, &key)?.is_allowed());
            }
        }
    }
    freed += u64::from(check(&strict, &denied)?.is_allowed());
    println!("bytes {}", memory()?.saturating_sub(before));
    println!("admitted {admitted}");
    println!("freed {freed}");
    println!("legitimate {legitimate}");
    println!("legitimate_admitted {legitimate_admitted}");
    println!("median_ns {}", quantile(&times, keys / 2));
    println!("p99_ns {}", quantile(&times, keys / 100 * 99));
    Ok(())
}

/// Returns the peak memory of this process in bytes, or 0 if the system does not report the memory.
fn memory() -> Result<u64, Box<dyn Error>> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.ok_or("VmHWM")?.trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// Returns the duration in nanoseconds of the check with this rank. The fastest check has the rank 0.
fn quantile(times: &[u32], mut rank: u64) -> usize {
    let step = times.iter().position(|count| {
        let is_here = rank < u64::from(*count);
        rank = rank.saturating_sub(u64::from(*count));
        is_here
    });
    10 * (step.unwrap_or(STEPS) + 1)
}
