//! How many requests HTTP servers admit under a limit of 100 per 2 s: under 64 clients, with two servers, and across the
//! edge of a window.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use rateguard_benches::{
    ACCURACY, BenchResult, OTHER_CORE,
    contenders::{self, Contender},
    cpu, cpu_pinning,
    figures::{Figures, column, table},
    judge,
    load::{Exchange, Load},
    redis_process,
    redis_target::{self, RedisTarget},
    server_process::ServerProcess,
    settings::{HttpSettings, Settings},
};

const LIMIT: usize = ACCURACY.0 as usize;
const WINDOW: Duration = ACCURACY.1;
/// The part of a window in which the clients send as fast as possible, so that a fixed window does not end meanwhile.
const RUSH: Duration = Duration::from_millis(1800);
/// How long before the end of the first window its last requests begin.
const BEFORE_EDGE: Duration = Duration::from_millis(100);
/// How long after the end of the first window the next burst begins.
const AFTER_EDGE: Duration = Duration::from_millis(5);
/// The number of groups into which the requests before the edge are divided.
const GROUPS: u32 = 10;
/// The interval of the groups before the edge.
const INTERVAL_BEFORE: Duration = Duration::from_millis(8);
/// The interval of the groups after the edge. It is shorter, so that a limiter with coarse times, which forgets all
/// requests before the edge together, admits more than the limit in one window.
const INTERVAL_AFTER: Duration = Duration::from_millis(3);

/// The figures of one limiter in one round.
struct Measurement {
    /// Admitted by one server under all clients.
    rush: f64,
    /// The responses per second meanwhile.
    rate: f64,
    /// Admitted by two servers with a common Redis. Servers with their own memory do not share a limit.
    two_servers: Option<f64>,
    /// The maximum in a window, across the edge.
    edge: f64,
}

fn main() -> BenchResult<ExitCode> {
    let settings = Settings::read_or(3)?;
    let pinned = cpu_pinning::pin_this_process(OTHER_CORE);
    let HttpSettings { connections, workers, delay, .. } = settings.http;
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    let redis = redis_target::describe(delay)?;
    println!("{}; {redis}", cpu_pinning::describe_server(pinned, workers));
    println!("{connections} clients; {} rounds; limit {LIMIT} per {WINDOW:?}\n", settings.rounds);

    let is_wanted = |it: &Contender| it.matches(&settings.only);
    let contenders: Vec<_> = contenders::for_accuracy().into_iter().filter(is_wanted).collect();
    let mut rounds: Vec<Vec<Measurement>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 1..=settings.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            let failed = |error| format!("{}: {error}", contender.label);
            rounds.push(measure(contender, &settings.http).map_err(failed)?);
        }
        eprintln!("round {round} of {}", settings.rounds);
    }
    print(&contenders, &rounds, connections);
    Ok(if is_rateguard_exact(&contenders, &rounds) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(contender: &Contender, http: &HttpSettings) -> BenchResult<Measurement> {
    let (exchanges, took) = with_servers(contender, http, 1, |servers| rush(servers, http))?;
    let two_servers = contender.uses_redis.then(|| {
        let (exchanges, _) = with_servers(contender, http, 2, |servers| rush(servers, http))?;
        count(&exchanges)
    });
    let edge = with_servers(contender, http, 1, |servers| across_edge(servers, http))?;
    Ok(Measurement {
        rush: count(&exchanges)?,
        rate: exchanges.len() as f64 / took.as_secs_f64(),
        two_servers: two_servers.transpose()?,
        edge: count(&edge)?,
    })
}

/// Runs clients against this many new servers with a common new Redis.
fn with_servers<T>(
    contender: &Contender,
    http: &HttpSettings,
    number: usize,
    run: impl FnOnce(&[SocketAddr]) -> BenchResult<T>,
) -> BenchResult<T> {
    let redis = contender.uses_redis.then(|| RedisTarget::start(http.delay)).transpose()?;
    let url = redis.as_ref().map(RedisTarget::url).unwrap_or_default();
    let start = |_| ServerProcess::start(contender, &url, http.workers);
    let servers = (0..number).map(start).collect::<BenchResult<Vec<_>>>()?;
    let addresses: Vec<_> = servers.iter().map(ServerProcess::address).collect();
    run(&addresses)
}

/// All clients send as fast as possible within one window.
fn rush(servers: &[SocketAddr], http: &HttpSettings) -> BenchResult<(Vec<Exchange>, Duration)> {
    let mut load = Load::connect(servers, 1, http.connections)?;
    let (started, mut exchanges) = (Instant::now(), Vec::new());
    load.run_while(http.connections, |exchange| {
        exchanges.push(*exchange);
        exchange.received < started + RUSH
    })?;
    Ok((exchanges, started.elapsed()))
}

/// Clients whose first request begins a window. They send as many requests as the limit in the last 100 ms of this
/// window, the same number just after it, and then a few requests every 3 ms for one more window.
fn across_edge(servers: &[SocketAddr], http: &HttpSettings) -> BenchResult<Vec<Exchange>> {
    let mut load = Load::connect(servers, 1, http.connections)?;
    let mut exchanges = Vec::new();
    send(&mut load, 1, &mut exchanges)?;
    let first = *exchanges.first().ok_or("no response")?;
    for number in 0..GROUPS {
        sleep_until(first.sent + WINDOW - BEFORE_EDGE + INTERVAL_BEFORE * number);
        send(&mut load, LIMIT / GROUPS as usize, &mut exchanges)?;
    }
    // The limiter has decided before the response arrived.
    let edge = first.received + WINDOW;
    sleep_until(edge + AFTER_EDGE);
    send(&mut load, LIMIT, &mut exchanges)?;
    while edge.elapsed() < WINDOW {
        thread::sleep(INTERVAL_AFTER);
        send(&mut load, LIMIT / GROUPS as usize, &mut exchanges)?;
    }
    Ok(exchanges)
}

fn sleep_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// Sends this many requests on all connections, and waits for their responses.
fn send(load: &mut Load, number: usize, exchanges: &mut Vec<Exchange>) -> BenchResult {
    let connections = load.connections().min(number);
    let mut rest = number - connections;
    load.run_while(connections, |exchange| {
        exchanges.push(*exchange);
        let sends_again = rest > 0;
        rest = rest.saturating_sub(1);
        sends_again
    })
}

/// The requests that were certainly admitted within one window. Fails if a response is neither 200 nor 429.
fn count(exchanges: &[Exchange]) -> BenchResult<f64> {
    match exchanges.iter().find(|it| !matches!(it.status, 200 | 429)) {
        Some(exchange) => Err(format!("unexpected status {}", exchange.status).into()),
        None => Ok(judge::max_in_window(exchanges, WINDOW) as f64),
    }
}

fn print(contenders: &[Contender], rounds: &[Vec<Measurement>], connections: usize) {
    let row = |(contender, rounds): (&Contender, &Vec<Measurement>)| {
        let two_servers = rounds.iter().filter_map(|it| it.two_servers).collect();
        vec![
            contender.label.to_owned(),
            show(&column(rounds, |it| it.rush)),
            show(&Figures(two_servers)),
            show(&column(rounds, |it| it.edge)),
            column(rounds, |it| it.rate).show(0),
        ]
    };
    let rows: Vec<_> = contenders.iter().zip(rounds).map(row).collect();
    let heads = [
        "limiter",
        &format!("admitted of {LIMIT} under {connections} clients"),
        "the same, two servers",
        "most admitted in one window across the edge",
        "responses/s under the clients",
    ];
    println!("{}", table(&heads, &rows));
}

/// The median and the range, or nothing if the limiter was not measured.
fn show(figures: &Figures) -> String {
    if figures.0.is_empty() { String::new() } else { figures.show(0) }
}

/// Prints the measurements in which RateGuard is not exact. Returns whether there is none. Across the edge, the judge may
/// miss requests if the server is slow, so that fewer than the limit are no error.
fn is_rateguard_exact(contenders: &[Contender], rounds: &[Vec<Measurement>]) -> bool {
    let limit = LIMIT as f64;
    let mut is_exact = true;
    for (contender, rounds) in contenders.iter().zip(rounds) {
        for Measurement { rush, two_servers, edge, .. } in rounds {
            let is_same = *rush == limit && two_servers.is_none_or(|it| it == limit);
            if contender.limiter.starts_with("rateguard") && !(is_same && *edge <= limit) {
                let label = contender.label;
                eprintln!(
                    "{label}: expected {LIMIT}, admitted {rush}, {two_servers:?}, {edge} requests"
                );
                is_exact = false;
            }
        }
    }
    is_exact
}
