//! What a check costs with more keys, under greater limits, and with a second thread: tables, and a picture of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{fs, time::Duration};

use rateguard::Algorithm;
use rateguard_benches::{
    MEASURED_CORE, Outcome,
    clients::Way,
    cpu,
    figures::Figures,
    in_memory::Load,
    on_redis::OnRedis,
    pinned,
    plot::{self, Chart, Curve},
    redis_process,
    settings::Settings,
};

const KEYS: [u32; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const LIMITS: [u32; 4] = [10, 100, 1_000, 10_000];
/// More than come of any key.
const NEVER_REACHED: u32 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);

/// By each thread.
const CHECKS_IN_MEMORY: u32 = 400_000;
const CHECKS_ON_REDIS: u32 = 20_000;
/// More than wait at once, so that no two of those are of one key.
const FEWEST_KEYS: u32 = 128;

const LOGS: [Way; 2] = [Way::RateGuard, Way::SortedSet];
const ON_REDIS: [&str; 4] =
    ["packed, allowed", "packed, denied", "sorted set, allowed", "sorted set, denied"];

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scaling.svg");

fn main() -> Outcome {
    let settings = Settings::read_or(3)?;
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("{} rounds of {CHECKS_IN_MEMORY} checks by each thread in memory,", settings.rounds);
    println!("and of {CHECKS_ON_REDIS} on Redis\n");

    let mut charts = Vec::new();
    let wanted = |name: &str| name.contains(&settings.only);
    if wanted("memory") {
        charts.push(in_memory(settings.rounds)?);
    }
    // Threads in memory were to have a core each.
    println!("Client and Redis: {}.\n", pinned::this_process(MEASURED_CORE));
    if wanted("limits") {
        charts.push(limits(settings.rounds)?);
    }
    if wanted("keys") {
        charts.push(keys(settings.rounds)?);
    }
    if settings.only.is_empty() {
        fs::write(PICTURE, plot::svg(&charts))?;
        println!("benches/scaling.svg is a picture of all of them.");
    }
    Ok(())
}

fn in_memory(rounds: usize) -> Outcome<Chart> {
    let names = [
        "sliding_window, 1 thread",
        "sliding_window, 2 threads",
        "token_bucket, 1 thread",
        "token_bucket, 2 threads",
    ];
    let mut chart = chart("In memory", "keys", "CPU ns a check", 0, names);
    measure(&mut chart, &KEYS, rounds, |keys| {
        let load = Load { keys, limit: (NEVER_REACHED, HOUR), is_allowed: true };
        let of =
            |algorithm, threads| load.measure(&load.store(algorithm)?, threads, CHECKS_IN_MEMORY);
        let (log, bucket) = (Algorithm::SlidingWindow, Algorithm::TokenBucket);
        Ok([of(log, 1)?, of(log, 2)?, of(bucket, 1)?, of(bucket, 2)?].map(|it| vec![it]))
    })?;
    Ok(chart)
}

fn limits(rounds: usize) -> Outcome<Chart> {
    let mut chart = chart("On Redis, by limit", "limit", "Redis' CPU µs a check", 2, ON_REDIS);
    measure(&mut chart, &LIMITS, rounds, |limit| of_both(|log| of_limit(log, limit)))?;
    Ok(chart)
}

/// It takes long until a million keys are there, so all rounds are with the same.
fn keys(rounds: usize) -> Outcome<Chart> {
    let mut chart = chart("On Redis, by keys", "keys", "Redis' CPU µs a check", 2, ON_REDIS);
    measure(&mut chart, &KEYS, 1, |keys| of_both(|log| of_keys(log, keys, rounds)))?;
    Ok(chart)
}

fn of_both(measure: impl Fn(Way) -> Outcome<[Vec<f64>; 2]>) -> Outcome<[Vec<f64>; 4]> {
    let [packed, sorted] = LOGS.map(measure);
    let ([a, b], [c, d]) = (packed?, sorted?);
    Ok([a, b, c, d])
}

/// What is allowed fills logs that are at least half full, and what is denied finds them full.
fn of_limit(log: Way, limit: u32) -> Outcome<[Vec<f64>; 2]> {
    let keys = (2 * CHECKS_ON_REDIS / limit).max(FEWEST_KEYS);
    let of_each = CHECKS_ON_REDIS.div_ceil(keys);
    let checks = u64::from(of_each * keys);
    let on_redis = OnRedis::start(keys.into())?;
    let asker = on_redis.asker(log, limit)?;
    on_redis.fill(&asker, limit - of_each)?;
    let allowed = on_redis.measure(&asker, checks, true)?;
    Ok([vec![allowed], vec![on_redis.measure(&asker, checks, false)?]])
}

/// All keys were seen before, once. A limit of 1 denies what comes then, and another one allows it.
fn of_keys(log: Way, keys: u32, rounds: usize) -> Outcome<[Vec<f64>; 2]> {
    let on_redis = OnRedis::start(keys.into())?;
    let (strict, generous) = (on_redis.asker(log, 1)?, on_redis.asker(log, NEVER_REACHED)?);
    on_redis.fill(&strict, 1)?;
    let of = |asker, is_allowed| -> Outcome<Vec<f64>> {
        let checks = CHECKS_ON_REDIS.into();
        (0..rounds).map(|_| on_redis.measure(asker, checks, is_allowed)).collect()
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

/// Measures all curves in these places in each round, and prints them.
fn measure(
    chart: &mut Chart,
    places: &[u32],
    rounds: usize,
    measure: impl Fn(u32) -> Outcome<[Vec<f64>; 4]>,
) -> Outcome {
    for curve in &mut chart.curves {
        curve.points = places.iter().map(|place| (*place, Figures::default())).collect();
    }
    for _ in 0..rounds {
        for (number, place) in places.iter().enumerate() {
            for (curve, figures) in chart.curves.iter_mut().zip(measure(*place)?) {
                curve.points[number].1.0.extend(figures);
            }
        }
    }
    println!("{}:\n\n{}", chart.title, chart.table());
    Ok(())
}
