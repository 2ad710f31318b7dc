//! Leases and permits: the cost of a check in one process, one hot key on four servers, and the script calls of a permit.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::process::ExitCode;

use rateguard_benches::{
    BenchResult, HOT_KEY, OTHER_CORE,
    contenders::{self, Contender, LEASED_TOKENS},
    cpu, cpu_pinning,
    figures::{column, table},
    leases::{
        checks::{self, DECIDERS},
        hot_key::HotKeyLoad,
        permits::{self, PermitLoad},
    },
    redis_process,
    settings::Settings,
};

fn main() -> BenchResult<ExitCode> {
    let settings = Settings::read_or(3)?;
    let pinned = cpu_pinning::pin_this_process(OTHER_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!(
        "servers / load and Redis: {pinned}; {} rounds of {:?}\n",
        settings.rounds, settings.duration
    );
    let wants = |part: &str| part.contains(&settings.only);
    let mut is_exact = true;
    if wants("checks") {
        print_checks(&settings)?;
    }
    for load in [HotKeyLoad::Steady(400), HotKeyLoad::Steady(800), HotKeyLoad::Flood] {
        if wants("servers") {
            is_exact &= print_hot_key(load, &settings)?;
        }
    }
    for load in [PermitLoad::Low, PermitLoad::Full] {
        if wants("permits") {
            print_permits(load, &settings)?;
        }
    }
    Ok(if is_exact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_checks(settings: &Settings) -> BenchResult {
    let mut rounds = DECIDERS.map(|_| Vec::new());
    for _ in 0..settings.rounds {
        let pause = checks::measure_pause(settings.duration);
        for (decider, rounds) in DECIDERS.into_iter().zip(&mut rounds) {
            rounds.push(decider.measure(settings.duration, pause)?);
        }
    }
    let memory = column(&rounds[0], |it| it.cpu_ns);
    let rows = DECIDERS.into_iter().zip(&rounds).map(|(decider, rounds)| {
        let cpu = column(rounds, |it| it.cpu_ns);
        vec![
            decider.label(),
            cpu.show(0),
            cpu.over(&memory).show(2),
            column(rounds, |it| it.script_calls).show(5),
            column(rounds, |it| it.redis_us).show(2),
            column(rounds, |it| it.leased).show(3),
        ]
    });
    let heads = [
        "checks of one key in one process",
        "CPU ns/check",
        "/ in memory",
        "script calls/check",
        "Redis CPU µs/check",
        "part with a lease",
    ];
    println!("{}", table(&heads, &rows.collect::<Vec<_>>()));
    Ok(())
}

/// Prints the figures of four servers. Returns whether no server admitted more than the limit.
fn print_hot_key(load: HotKeyLoad, settings: &Settings) -> BenchResult<bool> {
    let contenders = contenders::for_hot_key();
    let rounds = rounds_of(&contenders, settings, |it| load.measure(it, settings.duration))?;
    let memory = column(&rounds[0], |it| it.server_us);
    let mut is_exact = true;
    let rows = contenders.iter().zip(&rounds).map(|(contender, rounds)| {
        let (most, server) =
            (column(rounds, |it| it.max_in_window), column(rounds, |it| it.server_us));
        is_exact &= !contender.uses_redis || most.range().1 <= max_in_window(contender);
        vec![
            contender.label.to_owned(),
            column(rounds, |it| it.rate).show(0),
            column(rounds, |it| it.admitted).show(0),
            most.show(0),
            column(rounds, |it| it.script_calls).show(3),
            server.show(1),
            server.over(&memory).show(2),
            column(rounds, |it| it.redis_us).show(1),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let heads = [
        &*format!("four servers, 1,000 per second, {}", load.label()),
        "req/s",
        "admitted/s",
        "most in one window",
        "script calls/admission",
        "server CPU µs/req",
        "/ in memory",
        "Redis CPU µs/req",
    ];
    println!("{}", table(&heads, &rows));
    if !is_exact {
        eprintln!(
            "expected at most {} requests in a window, or twice as many from a token bucket",
            HOT_KEY.0
        );
    }
    Ok(is_exact)
}

/// Measures each contender once in each round. Returns the measurements of each contender.
fn rounds_of<T>(
    contenders: &[Contender],
    settings: &Settings,
    measure: impl Fn(&Contender) -> BenchResult<T>,
) -> BenchResult<Vec<Vec<T>>> {
    let mut rounds: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(measure(contender)?);
        }
    }
    Ok(rounds)
}

/// The maximum number of requests that the limit admits in one window. A token bucket admits its burst and the tokens
/// that it regains in the window.
fn max_in_window(contender: &Contender) -> f64 {
    let limit = f64::from(HOT_KEY.0);
    if contender.limiter == LEASED_TOKENS { 2.0 * limit } else { limit }
}

fn print_permits(load: PermitLoad, settings: &Settings) -> BenchResult {
    let contenders = permits::contenders();
    let rounds = rounds_of(&contenders, settings, |it| load.measure(it, settings.duration))?;
    let rate_only = column(&rounds[0], |it| it.server_us);
    let rows = contenders.iter().zip(&rounds).map(|(contender, rounds)| {
        let server = column(rounds, |it| it.server_us);
        vec![
            contender.label.to_owned(),
            column(rounds, |it| it.rate).show(0),
            column(rounds, |it| it.script_calls).show(3),
            server.show(1),
            server.over(&rate_only).show(2),
            column(rounds, |it| it.redis_us).show(1),
        ]
    });
    let heads = [
        &*format!("one server, {}", load.label()),
        "req/s",
        "script calls/req",
        "server CPU µs/req",
        "/ a rate only",
        "Redis CPU µs/req",
    ];
    println!("{}", table(&heads, &rows.collect::<Vec<_>>()));
    Ok(())
}
