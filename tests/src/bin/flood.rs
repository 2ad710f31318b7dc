//! Floods the store in memory with keys that are asked once: `flood KEYS CAP RATE`. It says what that costs, a line of
//! a name and a number for each figure.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

use std::{
    env,
    error::Error,
    fs,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rateguard::{Decision, Key, MemoryStore, Policy, RateGuard, test_util::ManualClock};

/// So much time passes from one check to the next: 100,000 checks a second.
const TICK: Duration = Duration::from_micros(10);
/// Every so many checks one is of somebody else than the flood.
const BESIDES: u64 = 100;
/// How many innocent keys come again and again.
const INNOCENT: u64 = 50;
/// Of a check's time, in steps of 10 ns.
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
        Ok(decision.ok_or("the store in memory answers at once")??)
    };

    let (strict, denied) = (Policy::new("strict", "3/day")?, Key::from("denied"));
    for _ in 0..3 {
        check(&strict, &denied)?;
    }
    let mut times = vec![1_u32; STEPS];
    times.fill(0);
    let mut random = SmallRng::seed_from_u64(1);
    let (mut freed, mut admitted, mut innocent, mut innocent_admitted) = (0, 0, 0, 0);
    let before = memory()?;
    for number in 0..keys {
        let key = Key::from(random.random::<u64>());
        let start = Instant::now();
        let decision = check(&policy, &key)?;
        let step = (start.elapsed().as_nanos() / 10) as usize;
        times[step.min(STEPS - 1)] += 1;
        admitted += u64::from(decision.is_allowed());
        if number % BESIDES == 0 {
            freed += u64::from(check(&strict, &denied)?.is_allowed());
            // Newcomers: while nobody has flooded yet, they would find room.
            if number > keys / 10 {
                let key = Key::from((number / BESIDES % INNOCENT, "innocent"));
                innocent += 1;
                innocent_admitted += u64::from(check(&policy, &key)?.is_allowed());
            }
        }
    }
    freed += u64::from(check(&strict, &denied)?.is_allowed());
    println!("bytes {}", memory()?.saturating_sub(before));
    println!("admitted {admitted}");
    println!("freed {freed}");
    println!("innocent {innocent}");
    println!("innocent_admitted {innocent_admitted}");
    println!("median_ns {}", quantile(&times, keys / 2));
    println!("p99_ns {}", quantile(&times, keys / 100 * 99));
    Ok(())
}

/// The most that this process has had in memory, in bytes; 0 where the system does not tell.
fn memory() -> Result<u64, Box<dyn Error>> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.ok_or("VmHWM")?.trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// A time that so many did not exceed.
fn quantile(times: &[u32], mut rank: u64) -> usize {
    let place = times.iter().position(|count| {
        let is_here = rank < u64::from(*count);
        rank = rank.saturating_sub(u64::from(*count));
        is_here
    });
    10 * (place.unwrap_or(STEPS) + 1)
}
