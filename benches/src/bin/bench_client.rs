//! Checks on Redis by 1, 64 and 256 tasks of one thread: how fast they are, and what they cost either side.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::time::Duration;

use cpu_time::ProcessTime;
use rateguard_benches::{
    GENEROUS_TO_MANY, MEASURED_CORE, OTHER_CORE, Outcome,
    clients::{Asker, Way, keys},
    cpu,
    figures::{column, quantile, table},
    pinned,
    redis_process::{self, RedisProcess},
    settings::Settings,
    tasks::{self, Until},
};
use tokio::runtime;

const WAYS: [Way; 5] = [Way::RateGuard, Way::Pool, Way::Shared, Way::Nothing, Way::Ping];
const TASKS: [usize; 3] = [1, 64, 256];
const KEYS: u64 = 10_000;
/// What is not measured, so that connections and scripts are there.
const WARM_UP: Duration = Duration::from_millis(300);

struct Measured {
    rate: f64,
    p50_us: f64,
    client_us: f64,
    redis_us: f64,
}

fn main() -> Outcome {
    let settings = Settings::read()?;
    let pinned = pinned::this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {settings:?}\n");

    for tasks in TASKS {
        let mut rounds = WAYS.map(|_| Vec::new());
        for _ in 0..settings.rounds {
            for (way, rounds) in WAYS.into_iter().zip(&mut rounds) {
                rounds.push(measure(way, tasks, settings.lasts)?);
            }
        }
        print(tasks, &rounds);
    }
    Ok(())
}

fn measure(way: Way, tasks: usize, lasts: Duration) -> Outcome<Measured> {
    let redis = RedisProcess::start(OTHER_CORE)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let asker = runtime.block_on(Asker::open(way, &redis.url(), GENEROUS_TO_MANY))?;
    let keys = keys(KEYS);
    let check = move |number: u64| {
        let (asker, keys) = (asker.clone(), keys.clone());
        async move { asker.ask(&keys[(number % KEYS) as usize], 1).await }
    };
    tasks::run(&runtime, tasks, Until::Elapsed(WARM_UP), check.clone())?;

    let (before, own) = (redis.usage()?, ProcessTime::now());
    let done = tasks::run(&runtime, tasks, Until::Elapsed(lasts), check)?;
    let (own, after) = (own.elapsed(), redis.usage()?);
    let checks = done.checks as f64;
    Ok(Measured {
        rate: checks / done.took.as_secs_f64(),
        p50_us: quantile(&done.micros, 0.5),
        client_us: own.as_secs_f64() * 1e6 / checks,
        redis_us: (after.cpu_us - before.cpu_us) / checks,
    })
}

fn print(tasks: usize, rounds: &[Vec<Measured>]) {
    let rates: Vec<_> = rounds.iter().map(|rounds| column(rounds, |it| it.rate)).collect();
    let row = |(place, way): (usize, Way)| {
        let figure = |of: fn(&Measured) -> f64| column(&rounds[place], of);
        vec![
            way.name().to_owned(),
            rates[place].show(0),
            rates[0].over(&rates[place]).show(2),
            figure(|it| it.p50_us).show(0),
            figure(|it| it.client_us).show(2),
            figure(|it| it.redis_us).show(2),
        ]
    };
    let rows: Vec<_> = WAYS.into_iter().enumerate().map(row).collect();
    let heads = [
        &*format!("{tasks} tasks"),
        "checks/s",
        "RateGuard's over it",
        "p50 µs",
        "client CPU µs/check",
        "Redis CPU µs/check",
    ];
    println!("{}", table(&heads, &rows));
}
