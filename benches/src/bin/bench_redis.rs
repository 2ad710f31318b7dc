//! The CPU time of Redis per check, and its memory per key: for logs that are not full, and for full logs.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use rateguard_benches::{
    BenchResult, MEASURED_CORE,
    clients::ClientKind,
    cpu, cpu_pinning,
    figures::{column, table},
    redis_bench::RedisBench,
    redis_process,
    settings::Settings,
};

/// The limits.
const LIMITS: [u32; 4] = [10, 100, 1_000, 10_000];
/// The clients. The first one is compared with the others.
const CLIENTS: [ClientKind; 3] = [ClientKind::RateGuard, ClientKind::SortedSet, ClientKind::Shared];
/// Clients without a limiter. They show the cost of the connection alone.
const FLOORS: [ClientKind; 2] = [ClientKind::EmptyScript, ClientKind::Ping];
const CHECKS: u64 = 100_000;

struct Measurement {
    allowed_us: f64,
    denied_us: f64,
    key_bytes: f64,
}

fn main() -> BenchResult {
    let settings = Settings::read()?;
    let pinned = cpu_pinning::pin_this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {} rounds of {CHECKS} checks\n", settings.rounds);

    let mut limits = LIMITS.map(|_| CLIENTS.map(|_| Vec::new()));
    let mut floors = FLOORS.map(|_| Vec::new());
    for _ in 0..settings.rounds {
        for (limit, kinds) in LIMITS.into_iter().zip(&mut limits) {
            for (kind, rounds) in CLIENTS.into_iter().zip(kinds) {
                let measured = measure(kind, limit);
                let failed = |error| format!("{}, limit {limit}: {error}", kind.name());
                rounds.push(measured.map_err(failed)?);
            }
        }
        for (kind, rounds) in FLOORS.into_iter().zip(&mut floors) {
            rounds.push(floor(kind)?);
        }
    }
    let of_limit = |(limit, kinds): (u32, &[Vec<Measurement>; 3])| rows(limit, kinds);
    let mut all: Vec<_> = LIMITS.into_iter().zip(&limits).flat_map(of_limit).collect();
    for (kind, rounds) in FLOORS.into_iter().zip(&floors) {
        let allowed = column(rounds, |it| *it).show(2);
        let mut row = vec![kind.name().to_owned(), String::new(), String::new(), allowed];
        row.resize(HEADS.len(), String::new());
        all.push(row);
    }
    println!("{}", table(&HEADS, &all));
    Ok(())
}

/// The number of keys whose limits together admit all checks.
fn keys(limit: u32) -> u64 {
    CHECKS / u64::from(limit)
}

fn measure(kind: ClientKind, limit: u32) -> BenchResult<Measurement> {
    let bench = RedisBench::start(keys(limit))?;
    let client = bench.client(kind, limit)?;
    let allowed_us = bench.measure(&client, CHECKS, true)?;
    let key_bytes = bench.bytes_of_a_key()?;
    Ok(Measurement { allowed_us, denied_us: bench.measure(&client, CHECKS, false)?, key_bytes })
}

fn floor(kind: ClientKind) -> BenchResult<f64> {
    let bench = RedisBench::start(keys(LIMITS[0]))?;
    bench.measure(&bench.client(kind, LIMITS[0])?, CHECKS, true)
}

const HEADS: [&str; 9] = [
    "",
    "limit",
    "keys",
    "allowed, µs of CPU",
    "RateGuard / client",
    "denied, µs of CPU",
    "RateGuard / client",
    "bytes per key",
    "bytes per entry",
];

fn rows(limit: u32, kinds: &[Vec<Measurement>; 3]) -> Vec<Vec<String>> {
    let row = |(kind, rounds): (ClientKind, &Vec<Measurement>)| {
        let time = |of: fn(&Measurement) -> f64| {
            let figures = column(rounds, of);
            [figures.show(2), column(&kinds[0], of).over(&figures).show(2)]
        };
        let bytes = column(rounds, |it| it.key_bytes).median();
        let [allowed, allowed_over] = time(|it| it.allowed_us);
        let [denied, denied_over] = time(|it| it.denied_us);
        vec![
            kind.name().to_owned(),
            limit.to_string(),
            keys(limit).to_string(),
            allowed,
            allowed_over,
            denied,
            denied_over,
            format!("{bytes:.0}"),
            format!("{:.0}", bytes / f64::from(limit)),
        ]
    };
    CLIENTS.into_iter().zip(kinds).map(row).collect()
}
