//! Servers with a limiter each, under the same load, one after the other in several rounds.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ExitCode, Stdio},
    time::Duration,
};

use rateguard_benches::{
    MEASURED_CORE, OTHER_CORE, Outcome, address,
    contenders::{self, Asked, Contender, PAIRS},
    cpu::{self, Stopwatch},
    figures::{Figures, column, quantile, table},
    load::{Load, Tally},
    pinned,
    redis_process::{self, RedisProcess},
    settings::Settings,
};

/// What is not measured, so that connections are there and limits are reached.
const WARM_UP: Duration = Duration::from_millis(500);

/// What one server did in one round.
struct Measured {
    rate: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
    bytes: f64,
    redis_us: f64,
    redis_commands: f64,
    tally: Tally,
}

fn main() -> Outcome<ExitCode> {
    let settings = Settings::read()?;
    let pinned = pinned::this_process(OTHER_CORE);
    println!("{}; {}", cpu::machine(), cpu::version(&redis_process::program()));
    println!("server, and load with Redis: {pinned}; {settings:?}\n");

    let is_wanted = |it: &Contender| it.limiter == "bare" || it.is_called(&settings.only);
    let contenders: Vec<_> = contenders::all().into_iter().filter(is_wanted).collect();
    let mut rounds: Vec<Vec<Measured>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 1..=settings.rounds {
        for (contender, rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(measure(contender, settings.lasts)?);
        }
        eprintln!("round {round} of {}", settings.rounds);
    }
    print_all(&contenders, &rounds);
    print_pairs(&contenders, &rounds);
    Ok(if complain(&contenders, &rounds) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn measure(contender: &Contender, lasts: Duration) -> Outcome<Measured> {
    let redis = contender.on_redis.then(|| RedisProcess::start(OTHER_CORE)).transpose()?;
    let url = redis.as_ref().map(RedisProcess::url).unwrap_or_default();
    let (server, address) = Server::start(contender, &url)?;
    let mut load = Load::connect(address, contender.asked.keys())?;
    load.run(WARM_UP, contender.asked.status())?;

    let before = redis.as_ref().map(RedisProcess::usage).transpose()?;
    let stopwatch = Stopwatch::start(&server.0.id().to_string())?;
    let tally = load.run(lasts, contender.asked.status())?;
    let (took, cpu) = stopwatch.read()?;
    let after = redis.as_ref().map(RedisProcess::usage).transpose()?;

    let answers = tally.answers as f64;
    let (redis_us, redis_commands) = match (before, after) {
        (Some(before), Some(after)) => {
            (after.cpu_us - before.cpu_us, after.commands - before.commands)
        }
        _ => (0.0, 0.0),
    };
    Ok(Measured {
        rate: answers / took.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / answers,
        p50_ms: quantile(&tally.micros, 0.5) / 1e3,
        p99_ms: quantile(&tally.micros, 0.99) / 1e3,
        bytes: tally.bytes as f64 / answers,
        redis_us: redis_us / answers,
        redis_commands: redis_commands / answers,
        tally,
    })
}

/// A server that is killed with this value.
struct Server(Child);

impl Server {
    fn start(contender: &Contender, redis: &str) -> Outcome<(Self, SocketAddr)> {
        let program = env::current_exe()?.with_file_name("contender");
        let program = program.to_str().ok_or("a path that is no text")?;
        let mut child = pinned::command(MEASURED_CORE, program)
            .args([contender.limiter, contender.asked.word(), redis])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        let server = Self(child);
        let mut line = String::new();
        BufReader::new(output.ok_or("no output")?).read_line(&mut line)?;
        Ok((server, address(&line)?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn print_all(contenders: &[Contender], rounds: &[Vec<Measured>]) {
    let Some(bare) = rounds.first() else { return };
    let (bare_rate, bare_cpu) = (column(bare, |it| it.rate), column(bare, |it| it.cpu_us));
    let row = |(contender, rounds): (&Contender, &Vec<Measured>)| {
        let figure = |of: fn(&Measured) -> f64| column(rounds, of);
        let (rate, cpu) = (figure(|it| it.rate), figure(|it| it.cpu_us));
        let redis = |of, digits| match contender.on_redis {
            true => format!("{:.digits$}", figure(of).median()),
            false => String::new(),
        };
        vec![
            contender.called.to_owned(),
            contender.asked.name().to_owned(),
            rate.show(0),
            rate.over(&bare_rate).show(3),
            cpu.show(2),
            cpu.over(&bare_cpu).show(3),
            format!(
                "{:.2} / {:.2}",
                figure(|it| it.p50_ms).median(),
                figure(|it| it.p99_ms).median()
            ),
            redis(|it| it.redis_us, 2),
            redis(|it| it.redis_commands, 2),
            format!("{:.0}", figure(|it| it.bytes).median()),
        ]
    };
    let rows: Vec<_> = contenders.iter().zip(rounds).map(row).collect();
    let heads = [
        "limiter",
        "asked",
        "req/s",
        "of bare",
        "server CPU µs/req",
        "of bare",
        "p50 / p99 ms",
        "Redis CPU µs/req",
        "Redis commands/req",
        "answer, bytes",
    ];
    println!("{}", table(&heads, &rows));
}

fn print_pairs(contenders: &[Contender], rounds: &[Vec<Measured>]) {
    let find = |limiter: &str, asked: Asked| {
        let place = contenders.iter().position(|it| it.limiter == limiter && it.asked == asked)?;
        Some((contenders[place].called, &rounds[place]))
    };
    let row = |(ours, peers, asked): (&str, &str, Asked)| {
        let ((_, ours), (called, peers)) = (find(ours, asked)?, find(peers, asked)?);
        let over =
            |of: fn(&Measured) -> f64| -> Figures { column(ours, of).over(&column(peers, of)) };
        Some(vec![
            format!("{called}, {}", asked.name()),
            over(|it| it.rate).show(2),
            over(|it| it.cpu_us).show(2),
        ])
    };
    let rows: Vec<_> = PAIRS.into_iter().filter_map(row).collect();
    println!("RateGuard over another, in the same round:\n");
    println!("{}", table(&["the other", "req/s", "server CPU/req"], &rows));
}

/// Whether anything else was measured than what it says.
fn complain(contenders: &[Contender], rounds: &[Vec<Measured>]) -> bool {
    let mut complains = false;
    for (contender, rounds) in contenders.iter().zip(rounds) {
        let (called, asked) = (contender.called, contender.asked.name());
        for Measured { tally, redis_commands, .. } in rounds {
            if tally.unexpected > 0 {
                let (count, all, last) = (tally.unexpected, tally.answers, tally.last_unexpected);
                eprintln!("{called}, {asked}: {count} of {all} answers were no such, but {last}");
                complains = true;
            }
            if contender.on_redis && *redis_commands == 0.0 {
                eprintln!("{called}, {asked}: Redis was not asked");
                complains = true;
            }
        }
    }
    complains
}
