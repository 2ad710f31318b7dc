//! The cost of a check with more keys, with higher limits, and with a second thread: as tables and as a picture.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{fs, time::Duration};

use actix_rateguard::Algorithm;
use rateguard_benches::{
    BenchResult, MEASURED_CORE,
    clients::ClientKind,
    cpu, cpu_pinning,
    figures::Figures,
    in_memory::MemoryLoad,
    plot::{self, Chart, Curve},
    redis_bench::RedisBench,
    redis_process,
    settings::Settings,
};

const KEYS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const LIMITS: [u32; 4] = [10, 100, 1_000, 10_000];
/// A limit that no key reaches.
const NEVER_REACHED: u32 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// The number of checks of each thread.
const CHECKS_IN_MEMORY: u32 = 400_000;
const CHECKS_ON_REDIS: u32 = 20_000;
/// More than the number of concurrent checks, so that no two of them have the same key.
const FEWEST_KEYS: u32 = 128;

const LOGS: [ClientKind; 2] = [ClientKind::RateGuard, ClientKind::SortedSet];
const ON_REDIS: [&str; 4] =
    ["packed, allowed", "packed, denied", "sorted set, allowed", "sorted set, denied"];

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scaling.svg");

fn main() -> BenchResult {
    let settings = Settings::read_or(3)?;
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("{} rounds of {CHECKS_IN_MEMORY} checks per thread in memory,", settings.rounds);
    println!("and of {CHECKS_ON_REDIS} checks on Redis\n");

    let mut charts = Vec::new();
    let wanted = |name: &str| name.contains(&settings.only);
    if wanted("memory") {
        charts.push(in_memory(settings.rounds)?);
    }
    // Not pinned before, because each thread in memory needs a core.
    println!("Client and Redis: {}.\n", cpu_pinning::pin_this_process(MEASURED_CORE));
    if wanted("limits") {
        charts.push(limits(settings.rounds)?);
    }
    if wanted("keys") {
        charts.push(keys(settings.rounds)?);
    }
    if settings.only.is_empty() {
        fs::write(PICTURE, plot::svg(&charts))?;
        println!("benches/scaling.svg shows all charts.");
    }
    Ok(())
}

fn in_memory(rounds: usize) -> BenchResult<Chart> {
    let names = [
        "sliding_window, 1 thread",
        "sliding_window, 2 threads",
        "token_bucket, 1 thread",
        "token_bucket, 2 threads",
    ];
    let mut chart = chart("In memory", "keys", "CPU ns per check", 0, names);
    measure(&mut chart, &KEYS, rounds, |keys| {
        let load = MemoryLoad { keys, limit: (NEVER_REACHED, HOUR), is_allowed: true };
        let of =
            |algorithm, threads| load.measure(&load.store(algorithm)?, threads, CHECKS_IN_MEMORY);
        let (log, bucket) = (Algorithm::SlidingWindow, Algorithm::TokenBucket);
        Ok([of(log, 1)?, of(log, 2)?, of(bucket, 1)?, of(bucket, 2)?].map(|it| vec![it]))
    })?;
    Ok(chart)
}

fn limits(rounds: usize) -> BenchResult<Chart> {
    let mut chart = chart("On Redis, by limit", "limit", "Redis CPU µs per check", 2, ON_REDIS);
    measure(&mut chart, &LIMITS, rounds, |limit| of_both(|log| of_limit(log, limit)))?;
    Ok(chart)
}

/// All rounds use the same keys, because it takes long to create a million keys.
fn keys(rounds: usize) -> BenchResult<Chart> {
    let mut chart = chart("On Redis, by keys", "keys", "Redis CPU µs per check", 2, ON_REDIS);
    measure(&mut chart, &KEYS, 1, |keys| of_both(|log| of_keys(log, keys, rounds)))?;
    Ok(chart)
}

fn of_both(
    measure: impl Fn(ClientKind) -> BenchResult<[Vec<f64>; 2]>,
) -> BenchResult<[Vec<f64>; 4]> {
    let [packed, sorted] = LOGS.map(measure);
    let ([a, b], [c, d]) = (packed?, sorted?);
    Ok([a, b, c, d])
}

/// The allowed checks fill logs that are at least half full. The denied checks find them full.
fn of_limit(log: ClientKind, limit: u32) -> BenchResult<[Vec<f64>; 2]> {
    let keys = (2 * CHECKS_ON_REDIS / limit).max(FEWEST_KEYS);
    let of_each = CHECKS_ON_REDIS.div_ceil(keys);
    let checks = u64::from(of_each * keys);
    let bench = RedisBench::start(keys.into())?;
    let client = bench.client(log, limit)?;
    bench.fill(&client, limit - of_each)?;
    let allowed = bench.measure(&client, checks, true)?;
    Ok([vec![allowed], vec![bench.measure(&client, checks, false)?]])
}

/// Each key has one entry before the measurement. A limit of 1 denies all checks, and the other limit allows them.
fn of_keys(log: ClientKind, keys: u32, rounds: usize) -> BenchResult<[Vec<f64>; 2]> {
    let bench = RedisBench::start(keys.into())?;
    let (strict, generous) = (bench.client(log, 1)?, bench.client(log, NEVER_REACHED)?);
    bench.fill(&strict, 1)?;
    let of = |client, is_allowed| -> BenchResult<Vec<f64>> {
        let checks = CHECKS_ON_REDIS.into();
        (0..rounds).map(|_| bench.measure(client, checks, is_allowed)).collect()
    };
    let denied = of(&strict, false)?;
    Ok([of(&generous, true)?, denied])
}

fn chart(
    title: &'static str,
    x: &'static str,
    y: &'static str,
    digits: usize,
    names: [&'static str; 4],
) -> Chart {
    let curves = names.map(|name| Curve { name, points: Vec::new() });
    Chart { title, x, y, digits, curves: curves.into() }
}

/// Measures all curves for these x values in each round, and prints the table.
fn measure(
    chart: &mut Chart,
    x_values: &[u32],
    rounds: usize,
    measure: impl Fn(u32) -> BenchResult<[Vec<f64>; 4]>,
) -> BenchResult {
    for curve in &mut chart.curves {
        curve.points = x_values.iter().map(|x_value| (*x_value, Figures::default())).collect();
    }
    for _ in 0..rounds {
        for (number, x_value) in x_values.iter().enumerate() {
            for (curve, figures) in chart.curves.iter_mut().zip(measure(*x_value)?) {
                curve.points[number].1.0.extend(figures);
            }
        }
    }
    println!("{}:\n\n{}", chart.title, chart.table());
    Ok(())
}
