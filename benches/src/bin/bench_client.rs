//! Checks on Redis by 1, 64 and 256 tasks on one thread: the throughput, and the CPU time of client and Redis.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::time::Duration;

use cpu_time::ProcessTime;
use rateguard_benches::{
    BenchResult, GENEROUS_TO_MANY, MEASURED_CORE, OTHER_CORE,
    clients::{CheckClient, ClientKind, keys},
    cpu, cpu_pinning,
    figures::{column, quantile, table},
    redis_process::{self, RedisProcess},
    settings::Settings,
    tasks::{self, Until},
};
use tokio::runtime;

const CLIENTS: [ClientKind; 5] = [
    ClientKind::RateGuard,
    ClientKind::Pool,
    ClientKind::Shared,
    ClientKind::EmptyScript,
    ClientKind::Ping,
];
const TASKS: [usize; 3] = [1, 64, 256];
const KEYS: u64 = 10_000;
/// The time before the measurement, in which connections are opened and scripts are loaded.
const WARM_UP: Duration = Duration::from_millis(300);

struct Measurement {
    rate: f64,
    p50_us: f64,
    client_us: f64,
    redis_us: f64,
}

fn main() -> BenchResult {
    let settings = Settings::read()?;
    let pinned = cpu_pinning::pin_this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {} rounds of {:?}\n", settings.rounds, settings.duration);

    for tasks in TASKS {
        let mut rounds = CLIENTS.map(|_| Vec::new());
        for _ in 0..settings.rounds {
            for (kind, rounds) in CLIENTS.into_iter().zip(&mut rounds) {
                rounds.push(measure(kind, tasks, settings.duration)?);
            }
        }
        print(tasks, &rounds);
    }
    Ok(())
}

fn measure(kind: ClientKind, tasks: usize, duration: Duration) -> BenchResult<Measurement> {
    let redis = RedisProcess::start(OTHER_CORE)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(CheckClient::open(kind, &redis.url(), GENEROUS_TO_MANY))?;
    let keys = keys(KEYS);
    let check = move |number: u64| {
        let (client, keys) = (client.clone(), keys.clone());
        async move { client.check(&keys[(number % KEYS) as usize], 1).await }
    };
    tasks::run(&runtime, tasks, Until::Elapsed(WARM_UP), check.clone())?;

    let (before, own) = (redis.usage()?, ProcessTime::now());
    let stats = tasks::run(&runtime, tasks, Until::Elapsed(duration), check)?;
    let (own, after) = (own.elapsed(), redis.usage()?);
    let checks = stats.checks as f64;
    Ok(Measurement {
        rate: checks / stats.took.as_secs_f64(),
        p50_us: quantile(&stats.micros, 0.5),
        client_us: own.as_secs_f64() * 1e6 / checks,
        redis_us: (after.cpu_us - before.cpu_us) / checks,
    })
}

fn print(tasks: usize, rounds: &[Vec<Measurement>]) {
    let rates: Vec<_> = rounds.iter().map(|rounds| column(rounds, |it| it.rate)).collect();
    let row = |(index, kind): (usize, ClientKind)| {
        let figure = |of: fn(&Measurement) -> f64| column(&rounds[index], of);
        vec![
            kind.name().to_owned(),
            rates[index].show(0),
            rates[0].over(&rates[index]).show(2),
            figure(|it| it.p50_us).show(0),
            figure(|it| it.client_us).show(2),
            figure(|it| it.redis_us).show(2),
        ]
    };
    let rows: Vec<_> = CLIENTS.into_iter().enumerate().map(row).collect();
    let heads = [
        &*format!("{tasks} tasks"),
        "checks/s",
        "RateGuard / client",
        "p50 µs",
        "client CPU µs/check",
        "Redis CPU µs/check",
    ];
    println!("{}", table(&heads, &rows));
}
