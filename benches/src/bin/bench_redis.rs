//! What a check costs Redis, and what it keeps: of logs that fill up to their limit, and of full ones that deny.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::time::Duration;

use rateguard_benches::{
    MEASURED_CORE, OTHER_CORE, Outcome,
    clients::{Asker, Way, keys},
    cpu,
    figures::{column, table},
    pinned,
    redis_process::{self, RedisProcess},
    settings::Settings,
    tasks::{self, Until},
};
use tokio::runtime;

/// The limits, and of one of them what costs nothing but the way.
const LIMITS: [u32; 4] = [10, 100, 1_000, 10_000];
const WAYS: [Way; 2] = [Way::RateGuard, Way::Shared];
const FLOORS: [Way; 2] = [Way::Nothing, Way::Ping];
/// Longer than everything takes: nothing leaves a log.
const WINDOW: Duration = Duration::from_secs(3600);
const CHECKS: u64 = 100_000;
/// Enough that Redis always has several commands to read at once.
const TASKS: usize = 64;

struct Measured {
    allowed_us: f64,
    denied_us: f64,
    entry_bytes: f64,
}

fn main() -> Outcome {
    let settings = Settings::read()?;
    let pinned = pinned::this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {} rounds of {CHECKS} checks\n", settings.rounds);

    let subjects: Vec<(Way, u32)> = LIMITS
        .into_iter()
        .flat_map(|limit| WAYS.map(|way| (way, limit)))
        .chain(FLOORS.map(|way| (way, LIMITS[0])))
        .collect();
    let mut rounds: Vec<Vec<Measured>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.rounds {
        for ((way, limit), rounds) in subjects.iter().zip(&mut rounds) {
            rounds.push(measure(*way, *limit)?);
        }
    }
    let rows: Vec<_> = subjects.iter().zip(&rounds).map(|(it, rounds)| row(*it, rounds)).collect();
    let heads = ["", "limit", "allowed, µs of CPU", "denied, µs of CPU", "bytes an entry"];
    println!("{}", table(&heads, &rows));
    Ok(())
}

fn measure(way: Way, limit: u32) -> Outcome<Measured> {
    let redis = RedisProcess::start(OTHER_CORE)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let asker = runtime.block_on(Asker::open(way, &redis.url(), (limit, WINDOW)))?;
    // As many keys as there are checks for.
    let count = CHECKS / u64::from(limit);
    let keys = keys(count);
    let ask = |expected: bool| -> Outcome<f64> {
        let (asker, keys) = (asker.clone(), keys.clone());
        let check = move |number: u64| {
            let (asker, keys) = (asker.clone(), keys.clone());
            async move { Ok(asker.ask(&keys[(number % count) as usize]).await? == expected) }
        };
        let before = redis.usage()?;
        tasks::run(&runtime, TASKS, Until::Checks(CHECKS), check)?;
        Ok((redis.usage()?.cpu_us - before.cpu_us) / CHECKS as f64)
    };
    let allowed_us = ask(true)?;
    if FLOORS.contains(&way) {
        return Ok(Measured { allowed_us, denied_us: f64::NAN, entry_bytes: f64::NAN });
    }
    let key: String = redis.ask(&["RANDOMKEY"])?;
    let bytes: f64 = redis.ask(&["MEMORY", "USAGE", &key, "SAMPLES", "0"])?;
    Ok(Measured { allowed_us, denied_us: ask(false)?, entry_bytes: bytes / f64::from(limit) })
}

fn row((way, limit): (Way, u32), rounds: &[Measured]) -> Vec<String> {
    let allowed = column(rounds, |it| it.allowed_us).show(2);
    let name = way.name().to_owned();
    if FLOORS.contains(&way) {
        return vec![name, String::new(), allowed, String::new(), String::new()];
    }
    let denied = column(rounds, |it| it.denied_us).show(2);
    let bytes = column(rounds, |it| it.entry_bytes).median();
    vec![name, limit.to_string(), allowed, denied, format!("{bytes:.0}")]
}
