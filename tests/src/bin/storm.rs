//! Runs a storm, which is a test that injects faults into Redis and the network while four servers handle load:
//! `storm [--seed N] [--minutes M] [--seconds S] [--faults A,B] [--judge-undecided true|false]`.
//!
//! The program prints the results, and exits with an error if there is a violation. In that case, the program keeps
//! the histories that the servers recorded, the schedule of the faults, and the data of Redis. The same seed gives
//! the same faults in the same order, but the effect of the faults depends on timing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::{
    env,
    error::Error,
    fmt::Write,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::Path,
    process::{self, ExitCode},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rateguard_tests::storm::{
    TIMEOUT,
    clock::Clock,
    faults::FaultInjector,
    judge::{History, Violation, judge},
    limits::MODES,
    load::load,
    now,
    probes::{probe, stalls},
    process_stats::ProcessStats,
    proxy::Proxy,
    redis_process::RedisProcess,
    report::Report,
    retry_until,
    schedule::{Fault, steps},
    storm_server::StormServer,
};

/// The deadline of checks.
const DEADLINE: Duration = Duration::from_millis(100);
/// The number of connections to each server. Each connection makes a mean pause of `PAUSE` between two requests, so
/// all connections together send about 1,000 requests per second.
const CONNECTIONS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(30);
/// The time after which a server has allocated everything that it needs. The first measurement of its resources is at
/// this time.
const EARLY: Duration = Duration::from_secs(60);

/// The command line options.
struct Options {
    seed: u64,
    duration: Duration,
    faults: Vec<Fault>,
    /// Whether a request without a decision is a violation if no fault explains it. On a loaded machine, this should
    /// be `false`, because Redis may get no CPU time until the deadline although no probe shows this.
    judges_undecided: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = parse_options(env::args().skip(1))?;
    println!("seed {}", options.seed);
    // If possible, the folder is on a file system in memory, because Redis stalls on a slow disk.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let folder = folder.join(format!("rateguard-storm-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let report = run_storm(&options, &folder).inspect_err(|_| print_folder(&folder))?;
    print!("{report}");
    let failures = report.failures();
    for failure in &failures {
        eprintln!("{failure}");
    }
    if failures.is_empty() {
        fs::remove_dir_all(&folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    print_folder(&folder);
    eprintln!("to inject the same faults again: --seed {}", options.seed);
    Ok(ExitCode::FAILURE)
}

/// Prints the path of the folder that has the files for an analysis of the storm.
fn print_folder(folder: &Path) {
    eprintln!("histories, schedule and Redis data: {}", folder.display());
}

fn run_storm(options: &Options, folder: &Path) -> Result<Report, Box<dyn Error>> {
    let sets_clocks = options.faults.iter().any(|fault| fault.sets_clock());
    let clock = if sets_clocks { Clock::compile(folder)? } else { None };
    let mut faults = options.faults.clone();
    if sets_clocks && clock.is_none() {
        println!("no C compiler found: the clock faults are skipped");
        faults.retain(|fault| !fault.sets_clock());
    }
    let redis = RedisProcess::start(folder, clock)?;
    // Two of the four servers connect to Redis directly, and the other two connect through a proxy.
    let proxies = [Proxy::start(redis.port())?, Proxy::start(redis.port())?];
    let ports = [redis.port(), redis.port(), proxies[0].port(), proxies[1].port()];
    let program = env::current_exe()?.with_file_name("storm_server");
    let start = |(server, mode): (usize, &&str)| {
        let history = folder.join(format!("history-{server}"));
        StormServer::start(&program, ports[server], mode, DEADLINE, history)
    };
    let servers: Vec<StormServer> =
        MODES.iter().enumerate().map(start).collect::<Result<_, _>>()?;
    let targets = servers.iter().map(StormServer::port).collect();
    let redis_id = AtomicU32::new(redis.id());
    let mut injector = FaultInjector::new(redis, proxies.to_vec(), targets);
    let mut report = Report::default();

    let stop = AtomicBool::new(false);
    // For each schedule step: the names of its faults, and the time at which the faults ended.
    let mut ends = Vec::new();
    let mut schedule = format!("seed {}\n", options.seed);
    let mut observed_stalls = [Vec::new(), Vec::new()];
    let result = thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let probing = [ports[0], ports[3]].map(|port| {
            let (redis, stop) = (&redis_id, &stop);
            scope.spawn(move || probe(port, redis, stop))
        });
        let clients: Vec<_> = (0..CONNECTIONS * servers.len() as u64)
            .map(|number| {
                let (stop, port) = (&stop, servers[number as usize % servers.len()].port());
                let seed = options.seed.wrapping_add(number);
                scope.spawn(move || load(port, seed, PAUSE, stop))
            })
            .collect();
        let result = || -> Result<(), Box<dyn Error>> {
            wait_for_replies(&servers)
                .map_err(|_| "Redis does not reply before the first fault")?;
            let (start, mut early) = (Instant::now(), None);
            for step in steps(options.seed, &faults) {
                if start.elapsed() >= options.duration {
                    break;
                }
                writeln!(schedule, "{} begins {}", now(), step.names())?;
                let injected = injector.inject(&step);
                redis_id.store(injector.redis.id(), Relaxed);
                injected?;
                ends.push((step.names(), now()));
                writeln!(schedule, "{} ends {}", now(), step.names())?;
                if wait_for_replies(&servers).is_err() {
                    report.unrecovered.push(step.names());
                }
                thread::sleep(step.pause_after);
                if early.is_none() && start.elapsed() >= EARLY {
                    early = Some(process_stats(&servers)?);
                }
            }
            if let Some(early) = early {
                report.process_stats = early.into_iter().zip(process_stats(&servers)?).collect();
            }
            Ok(())
        }();
        stop.store(true, Relaxed);
        for client in clients {
            report.responses.add(client.join().map_err(|_| "a client panicked")?);
        }
        for (probing, observed) in probing.into_iter().zip(&mut observed_stalls) {
            *observed = stalls(&probing.join().map_err(|_| "a probe panicked")?);
        }
        result
    });
    writeln!(schedule, "{:#?}\nstalls {observed_stalls:?}", injector.events)?;
    fs::write(folder.join("schedule"), schedule)?;
    result?;

    let mut histories = Vec::new();
    for ((server, mode), port) in servers.into_iter().zip(MODES).zip(ports) {
        let (calls, requests) = server.history()?;
        let is_proxied = port != injector.redis.port();
        let stalls = observed_stalls[usize::from(is_proxied)].clone();
        histories.push(History { mode, is_proxied, stalls, calls, requests });
    }
    for (faults, end) in ends {
        let first_replies = histories.iter().filter_map(|history| {
            let after = history.calls.iter().filter(|call| call.began >= end);
            after.filter(|call| call.reply.is_some()).map(|call| call.ended - end).min()
        });
        let last = first_replies.max().unwrap_or(0);
        report.recoveries.entry(faults).or_default().push(Duration::from_micros(last));
    }
    let [direct, proxied] = &observed_stalls;
    let stall_times = direct.iter().map(|(from, until)| until.saturating_sub(*from));
    report.stall_time = Duration::from_micros(stall_times.sum());
    report.stalls = (direct.len(), proxied.len());
    report.attacks = std::mem::take(&mut injector.attacks);
    report.events = (injector.events.losses.len(), injector.events.settings.len());
    report.findings = judge(histories, DEADLINE, &injector.events);
    if !options.judges_undecided {
        report.findings.violations.remove(&Violation::Undecided);
    }
    Ok(report)
}

/// Waits until each server has received a new reply from Redis.
fn wait_for_replies(servers: &[StormServer]) -> Result<(), Duration> {
    let before: Vec<_> = servers.iter().map(|server| server.store_replies().ok()).collect();
    for (server, before) in servers.iter().zip(before) {
        retry_until(TIMEOUT / 2, || {
            let is_more = server.store_replies().ok() > before;
            if !is_more {
                thread::sleep(Duration::from_millis(20));
            }
            is_more.then_some(())
        })?;
    }
    Ok(())
}

/// Measures the resources of each server. If possible, the function waits until each server has one connection to
/// Redis.
fn process_stats(servers: &[StormServer]) -> std::io::Result<Vec<ProcessStats>> {
    // The calls that the servers have already sent to Redis end during this pause.
    thread::sleep(Duration::from_secs(1));
    let _ = retry_until(TIMEOUT, || {
        let stats: Vec<_> =
            servers.iter().filter_map(|server| ProcessStats::of(server).ok()).collect();
        stats.iter().all(|stats| stats.connections == 1).then_some(())
    });
    servers.iter().map(ProcessStats::of).collect()
}

fn parse_options(mut args: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    // A seed of 32 bits is short enough to be typed.
    let seed = RandomState::new().build_hasher().finish() >> 32;
    let mut faults = Fault::ALL.map(|(_, fault)| fault).to_vec();
    // After a clock step, the judge cannot check all rules, so the default faults do not include clock steps.
    faults.retain(|fault| !fault.sets_clock());
    let mut options =
        Options { seed, duration: Duration::from_secs(60), faults, judges_undecided: true };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("expected a value after {arg}"))?;
        match &*arg {
            "--seed" => options.seed = value.parse()?,
            "--minutes" => options.duration = Duration::from_secs_f64(value.parse::<f64>()? * 60.0),
            "--seconds" => options.duration = Duration::from_secs(value.parse()?),
            "--faults" => options.faults = value.split(',').map(fault).collect::<Result<_, _>>()?,
            "--judge-undecided" => options.judges_undecided = value.parse()?,
            _ => {
                return Err(
                    "usage: storm [--seed N] [--minutes M] [--seconds S] [--faults A,B] [--judge-undecided true|false]".into()
                );
            }
        }
    }
    Ok(options)
}

fn fault(name: &str) -> Result<Fault, String> {
    let found = Fault::ALL.iter().find(|(it, _)| *it == name);
    found.map(|(_, fault)| *fault).ok_or_else(|| {
        let names = Fault::ALL.map(|(name, _)| name).join(", ");
        format!("unknown fault `{name}`; the faults are: {names}")
    })
}
