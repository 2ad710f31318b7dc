//! What a check costs Redis, and what it keeps: of logs that fill up to their limit, and of full ones that deny.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use rateguard_benches::{
    MEASURED_CORE, Outcome,
    clients::Way,
    cpu,
    figures::{column, table},
    on_redis::OnRedis,
    pinned, redis_process,
    settings::Settings,
};

/// The limits, and of one of them what costs nothing but the way.
const LIMITS: [u32; 4] = [10, 100, 1_000, 10_000];
/// The first is compared with the others.
const WAYS: [Way; 3] = [Way::RateGuard, Way::SortedSet, Way::Shared];
const FLOORS: [Way; 2] = [Way::Nothing, Way::Ping];
const CHECKS: u64 = 100_000;

struct Measured {
    allowed_us: f64,
    denied_us: f64,
    key_bytes: f64,
}

fn main() -> Outcome {
    let settings = Settings::read()?;
    let pinned = pinned::this_process(MEASURED_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("client and Redis: {pinned}; {} rounds of {CHECKS} checks\n", settings.rounds);

    let mut limits = LIMITS.map(|_| WAYS.map(|_| Vec::new()));
    let mut floors = FLOORS.map(|_| Vec::new());
    for _ in 0..settings.rounds {
        for (limit, ways) in LIMITS.into_iter().zip(&mut limits) {
            for (way, rounds) in WAYS.into_iter().zip(ways) {
                let measured = measure(way, limit);
                let failed = |error| format!("{}, limit {limit}: {error}", way.name());
                rounds.push(measured.map_err(failed)?);
            }
        }
        for (way, rounds) in FLOORS.into_iter().zip(&mut floors) {
            rounds.push(floor(way)?);
        }
    }
    let of_limit = |(limit, ways): (u32, &[Vec<Measured>; 3])| rows(limit, ways);
    let mut all: Vec<_> = LIMITS.into_iter().zip(&limits).flat_map(of_limit).collect();
    for (way, rounds) in FLOORS.into_iter().zip(&floors) {
        let allowed = column(rounds, |it| *it).show(2);
        let mut row = vec![way.name().to_owned(), String::new(), String::new(), allowed];
        row.resize(HEADS.len(), String::new());
        all.push(row);
    }
    println!("{}", table(&HEADS, &all));
    Ok(())
}

/// As many keys as there are checks for.
fn keys(limit: u32) -> u64 {
    CHECKS / u64::from(limit)
}

fn measure(way: Way, limit: u32) -> Outcome<Measured> {
    let on_redis = OnRedis::start(keys(limit))?;
    let asker = on_redis.asker(way, limit)?;
    let allowed_us = on_redis.measure(&asker, CHECKS, true)?;
    let key_bytes = on_redis.bytes_of_a_key()?;
    Ok(Measured { allowed_us, denied_us: on_redis.measure(&asker, CHECKS, false)?, key_bytes })
}

fn floor(way: Way) -> Outcome<f64> {
    let on_redis = OnRedis::start(keys(LIMITS[0]))?;
    on_redis.measure(&on_redis.asker(way, LIMITS[0])?, CHECKS, true)
}

const HEADS: [&str; 9] = [
    "",
    "limit",
    "keys",
    "allowed, µs of CPU",
    "RateGuard's over it",
    "denied, µs of CPU",
    "RateGuard's over it",
    "bytes a key",
    "bytes an entry",
];

fn rows(limit: u32, ways: &[Vec<Measured>; 3]) -> Vec<Vec<String>> {
    let row = |(way, rounds): (Way, &Vec<Measured>)| {
        let time = |of: fn(&Measured) -> f64| {
            let figures = column(rounds, of);
            [figures.show(2), column(&ways[0], of).over(&figures).show(2)]
        };
        let bytes = column(rounds, |it| it.key_bytes).median();
        let [allowed, allowed_over] = time(|it| it.allowed_us);
        let [denied, denied_over] = time(|it| it.denied_us);
        vec![
            way.name().to_owned(),
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
    WAYS.into_iter().zip(ways).map(row).collect()
}
