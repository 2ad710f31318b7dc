//! HTTP servers with one limiter each, under the same load. The servers are measured one at a time, in several rounds.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{fs, process::ExitCode, time::Duration};

use rateguard_benches::{
    BenchResult, OTHER_CORE,
    bars::{self, Bar},
    contenders::{self, Contender, PAIRS, Scenario},
    cpu::{self, Stopwatch},
    cpu_pinning,
    figures::{Figures, column, quantile, table},
    load::{Load, Tally},
    redis_process,
    redis_target::{self, RedisTarget},
    server_process::ServerProcess,
    settings::{HttpSettings, Settings},
};

/// The time before the measurement, in which connections are opened and limits are reached.
const WARM_UP: Duration = Duration::from_millis(500);

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/http.svg");

/// The figures of one server in one round.
struct Measurement {
    rate: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    bytes: f64,
    redis_us: f64,
    redis_commands: f64,
    tally: Tally,
}

fn main() -> BenchResult<ExitCode> {
    let settings = Settings::read()?;
    let pinned = cpu_pinning::pin_this_process(OTHER_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("{}", describe(&settings, pinned)?);

    let is_wanted = |it: &Contender| it.limiter == "bare" || it.matches(&settings.only);
    let contenders: Vec<_> = contenders::all().into_iter().filter(is_wanted).collect();
    let mut rounds: Vec<Vec<Measurement>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 1..=settings.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(measure(contender, &settings)?);
        }
        eprintln!("round {round} of {}", settings.rounds);
    }
    print_all(&contenders, &rounds, &settings.http);
    print_pairs(&contenders, &rounds);
    // The picture describes the usual setup.
    if settings.only.is_empty() && settings.http == HttpSettings::default() {
        fs::write(PICTURE, picture(&contenders, &rounds))?;
        println!("benches/http.svg shows the CPU time of the servers.");
    }
    Ok(if report_errors(&contenders, &rounds) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Describes the setup.
fn describe(settings: &Settings, pinned: &str) -> BenchResult<String> {
    let HttpSettings { connections, workers, delay, rate } = &settings.http;
    let server = cpu_pinning::describe_server(pinned, *workers);
    let load = match rate {
        Some(rate) => format!("open loop, {rate} requests/s on {connections} connections"),
        None => format!("closed loop, {connections} connections"),
    };
    let (rounds, duration, only) = (settings.rounds, settings.duration, &settings.only);
    let redis = redis_target::describe(*delay)?;
    Ok(format!("{server}; {load}; {redis}; {rounds} rounds of {duration:?}; only {only:?}\n"))
}

fn measure(contender: &Contender, settings: &Settings) -> BenchResult<Measurement> {
    let HttpSettings { connections, workers, delay, rate } = settings.http;
    let redis = contender.uses_redis.then(|| RedisTarget::start(delay)).transpose()?;
    let url = redis.as_ref().map(RedisTarget::url).unwrap_or_default();
    let server = ServerProcess::start(contender, &url, workers)?;
    let (keys, status) = (contender.scenario.keys(), contender.scenario.status());
    let mut load = Load::connect(&[server.address()], keys, connections)?;
    let mut run = |duration| match rate {
        Some(rate) => load.run_at_rate(rate, duration, status),
        None => load.run(duration, status),
    };
    run(WARM_UP)?;

    let before = redis.as_ref().map(RedisTarget::usage).transpose()?;
    let stopwatch = Stopwatch::start(&server.id().to_string())?;
    let tally = run(settings.duration)?;
    let (took, cpu) = stopwatch.read()?;
    let after = redis.as_ref().map(RedisTarget::usage).transpose()?;

    let responses = tally.responses as f64;
    let (redis_us, redis_commands) = match (before, after) {
        (Some(before), Some(after)) => {
            (after.cpu_us - before.cpu_us, after.commands - before.commands)
        }
        _ => (0.0, 0.0),
    };
    Ok(Measurement {
        rate: responses / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / responses,
        p50_ms: quantile(&tally.micros, 0.5) / 1e3,
        p99_ms: quantile(&tally.micros, 0.99) / 1e3,
        p999_ms: quantile(&tally.micros, 0.999) / 1e3,
        bytes: tally.bytes as f64 / responses,
        redis_us: redis_us / responses,
        redis_commands: redis_commands / responses,
        tally,
    })
}

fn print_all(contenders: &[Contender], rounds: &[Vec<Measurement>], http: &HttpSettings) {
    let Some(bare) = rounds.first() else { return };
    let (bare_rate, bare_cpu) = (column(bare, |it| it.rate), column(bare, |it| it.cpu_us));
    let row = |(contender, rounds): (&Contender, &Vec<Measurement>)| {
        let figure = |of: fn(&Measurement) -> f64| column(rounds, of);
        let (rate, cpu) = (figure(|it| it.rate), figure(|it| it.cpu_us));
        let redis = |of, digits| match contender.uses_redis {
            true => format!("{:.digits$}", figure(of).median()),
            false => String::new(),
        };
        vec![
            contender.label.to_owned(),
            contender.scenario.name().to_owned(),
            rate.show(0),
            rate.over(&bare_rate).show(3),
            cpu.show(2),
            cpu.over(&bare_cpu).show(3),
            latencies(rounds, http),
            redis(|it| it.redis_us, 2),
            redis(|it| it.redis_commands, 2),
            format!("{:.0}", figure(|it| it.bytes).median()),
        ]
    };
    let rows: Vec<_> = contenders.iter().zip(rounds).map(row).collect();
    let heads = [
        "limiter",
        "scenario",
        "req/s",
        "/ bare",
        "server CPU µs/req",
        "/ bare",
        if http.rate.is_some() { "p50 / p99 / p99.9 ms from schedule" } else { "p50 / p99 ms" },
        "Redis CPU µs/req",
        "Redis commands/req",
        "response bytes",
    ];
    println!("{}", table(&heads, &rows));
}

fn latencies(rounds: &[Measurement], http: &HttpSettings) -> String {
    let median = |of: fn(&Measurement) -> f64| column(rounds, of).median();
    let (p50, p99) = (median(|it| it.p50_ms), median(|it| it.p99_ms));
    match http.rate {
        Some(_) => format!("{p50:.2} / {p99:.2} / {:.2}", median(|it| it.p999_ms)),
        None => format!("{p50:.2} / {p99:.2}"),
    }
}

/// Draws the CPU time of a request, without the scenarios of many keys, which are close to those of one key.
fn picture(contenders: &[Contender], rounds: &[Vec<Measurement>]) -> String {
    let bars = contenders.iter().zip(rounds).filter(|(it, _)| it.scenario != Scenario::ManyKeys);
    let bar = |(contender, rounds): (&Contender, &Vec<Measurement>)| Bar {
        label: format!(
            "{}: {}",
            contender.label.replace(['*', '`'], ""),
            contender.scenario.name()
        ),
        figures: column(rounds, |it| it.cpu_us),
        is_highlighted: contender.label.starts_with("**"),
    };
    let bars: Vec<_> = bars.map(bar).collect();
    bars::svg(
        "CPU time of the server for each request",
        "in µs, including actix-web; less is better; the lines are the minimum and the maximum of the rounds",
        &bars,
    )
}

fn print_pairs(contenders: &[Contender], rounds: &[Vec<Measurement>]) {
    let find = |limiter: &str, scenario: Scenario| {
        let index =
            contenders.iter().position(|it| it.limiter == limiter && it.scenario == scenario)?;
        Some((contenders[index].label, &rounds[index]))
    };
    let row = |(ours, peers, scenario): (&str, &str, Scenario)| {
        let limiter = ours;
        let ((own_label, ours), (label, peers)) = (find(ours, scenario)?, find(peers, scenario)?);
        // The other limiter may also be RateGuard, with other settings.
        let label = match limiter {
            "rateguard" | "rateguard-redis" => label.to_owned(),
            _ => format!("{label}, beside {own_label}"),
        };
        let over =
            |of: fn(&Measurement) -> f64| -> Figures { column(ours, of).over(&column(peers, of)) };
        Some(vec![
            format!("{label}, {}", scenario.name()),
            over(|it| it.rate).show(2),
            over(|it| it.cpu_us).show(2),
        ])
    };
    let rows: Vec<_> = PAIRS.into_iter().filter_map(row).collect();
    println!("RateGuard / other limiter, in the same round:\n");
    println!("{}", table(&["other limiter", "req/s", "server CPU/req"], &rows));
}

/// Prints the measurements with unexpected responses or without Redis commands. Returns whether there is one.
fn report_errors(contenders: &[Contender], rounds: &[Vec<Measurement>]) -> bool {
    let mut has_error = false;
    for (contender, rounds) in contenders.iter().zip(rounds) {
        let (label, scenario) = (contender.label, contender.scenario.name());
        for Measurement { tally, redis_commands, .. } in rounds {
            if tally.unexpected > 0 {
                let (count, all, last) = (tally.unexpected, tally.responses, tally.last_unexpected);
                eprintln!(
                    "{label}, {scenario}: unexpected status of {count} of {all} responses, last {last}"
                );
                has_error = true;
            }
            if contender.uses_redis && *redis_commands == 0.0 {
                eprintln!("{label}, {scenario}: expected Redis commands, found none");
                has_error = true;
            }
        }
    }
    has_error
}
