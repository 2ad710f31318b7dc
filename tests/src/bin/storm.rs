//! Runs a storm, which is a test that injects faults into Redis, the network and the servers while the servers handle
//! load: `storm [--seed N] [--minutes M] [--seconds S] [--servers N] [--faults A,B|all] [--judge-undecided true|false]
//! [--defect NAME]`.
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
    path::Path,
    process::{self, ExitCode},
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rateguard_tests::storm::{
    TIMEOUT,
    clock::Clock,
    defect::Defect,
    faults::FaultInjector,
    findings::Violation,
    fleet::Fleet,
    holders::{hold, use_hot_key},
    judge::judge,
    limits::MODES,
    load::load,
    now,
    options::Options,
    probes::{probe, stalls},
    process_stats::{CONNECTIONS, ProcessStats},
    proxy::Proxy,
    redis_process::RedisProcess,
    report::Report,
    retry_until,
    samples::sample,
    schedule::{Fault, steps},
    storm_server::{ServerSettings, StormServer},
};

/// The deadline of checks.
const DEADLINE: Duration = Duration::from_millis(100);
/// The number of clients of all servers. Each client makes a mean pause of `PAUSE` between two requests, so all of them
/// together send about 1,000 requests per second.
const CLIENTS: usize = 32;
const PAUSE: Duration = Duration::from_millis(30);
/// The number of clients that use a hot key, and the mean pause between two requests of one of them. While the key is
/// busy, they send about 800 requests per second, which is more than its limit.
const HOT_CLIENTS: usize = 16;
const HOT_PAUSE: Duration = Duration::from_millis(18);
/// The minimum number of clients whose requests hold permits. Each server has at least two of them.
const HOLDERS: usize = 12;
/// The time after which a server has allocated everything that it needs. The first measurement of its resources is at
/// this time.
const EARLY: Duration = Duration::from_secs(60);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse(env::args().skip(1))?;
    println!("seed {}", options.seed);
    // If possible, the folder is on a file system in memory, because Redis stalls on a slow disk.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let folder = folder.join(format!("rateguard-storm-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let report = run_storm(&options, &folder).inspect_err(|_| print_folder(&folder))?;
    print!("{report}");
    let all = report.findings.violations.iter().flat_map(|(kind, found)| {
        found.iter().map(move |details| format!("{kind:?}: {details}\n"))
    });
    fs::write(folder.join("violations"), all.collect::<String>())?;
    let failures = report.failures();
    for failure in &failures {
        eprintln!("{failure}");
    }
    if failures.is_empty() || options.defect != Defect::None {
        // The violations of a defect are expected, so they need no analysis.
        fs::remove_dir_all(&folder)?;
    }
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if options.defect == Defect::None {
        print_folder(&folder);
    }
    eprintln!("to inject the same faults again: --seed {}", options.seed);
    Ok(ExitCode::FAILURE)
}

/// Prints the path of the folder that has the files for an analysis of the storm.
fn print_folder(folder: &Path) {
    eprintln!("histories, schedule, all violations and Redis data: {}", folder.display());
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
    if faults.contains(&Fault::Failover) && !redis.can_be_replaced()? {
        println!("this version of Redis cannot change its port: the fault failover is skipped");
        faults.retain(|fault| *fault != Fault::Failover);
    }
    // The first half of the servers connects to Redis directly, and the other half through one of two proxies.
    let proxies = [Proxy::start(redis.port())?, Proxy::start(redis.port())?];
    let program = env::current_exe()?.with_file_name("storm_server");
    let settings = (0..options.servers).map(|server| ServerSettings {
        program: program.clone(),
        redis: match server < options.servers.div_ceil(2) {
            true => redis.port(),
            false => proxies[server % 2].port(),
        },
        mode: MODES[server % MODES.len()],
        deadline: DEADLINE,
        servers: options.servers,
        defect: options.defect,
    });
    let fleet = Fleet::start(settings.collect(), folder)?;
    let (addresses, redis_port) = (fleet.addresses(), redis.port());
    let probed = [redis_port, proxies[1].port()];
    let redis_id = AtomicU32::new(redis.id());
    let mut injector = FaultInjector::new(redis, proxies.to_vec(), fleet);
    let mut report = Report { servers: options.servers, ..Report::default() };

    let stop = AtomicBool::new(false);
    // For each schedule step: the names of its faults, and the time at which the faults ended.
    let mut ends = Vec::new();
    let mut schedule = format!("seed {}\n", options.seed);
    let mut observed_stalls = [Vec::new(), Vec::new()];
    let result = thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let probing = probed.map(|port| {
            let (redis, stop) = (&redis_id, &stop);
            scope.spawn(move || probe(port, redis, stop))
        });
        let sampling = scope.spawn(|| sample(redis_port, &stop));
        let end = Instant::now() + options.duration;
        let address = |number: usize| &addresses[number % addresses.len()];
        let (stop, seed) = (&stop, options.seed);
        let mut clients = Vec::new();
        // The other requests would only slow down those that a defect concerns.
        let others = if options.defect == Defect::None { CLIENTS } else { options.servers };
        for number in 0..others {
            let seed = seed.wrapping_add(number as u64);
            clients.push(scope.spawn(move || load(address(number), seed, PAUSE, stop)));
        }
        for number in 0..HOT_CLIENTS {
            let seed = seed.wrapping_add(1_000 + number as u64);
            clients.push(scope.spawn(move || use_hot_key(address(number), seed, HOT_PAUSE, stop)));
        }
        for number in 0..HOLDERS.max(2 * options.servers) {
            let seed = seed.wrapping_add(2_000 + number as u64);
            // The first requests of every second client are long, so that a short storm has some of them too.
            let is_long = (number / options.servers).is_multiple_of(2);
            clients.push(scope.spawn(move || hold(address(number), seed, is_long, end, stop)));
        }
        let result = || -> Result<(), Box<dyn Error>> {
            wait_for_replies(injector.fleet.servers())
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
                if wait_for_replies(injector.fleet.servers()).is_err() {
                    report.unrecovered.push(step.names());
                }
                thread::sleep(step.pause_after);
                if early.is_none() && start.elapsed() >= EARLY {
                    early = Some(process_stats(injector.fleet.servers())?);
                }
            }
            if let Some(early) = early {
                let pairs = early.into_iter().zip(process_stats(injector.fleet.servers())?);
                report.process_stats =
                    pairs.filter(|(early, late)| early.process == late.process).collect();
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
        report.samples = sampling.join().map_err(|_| "the sampler panicked")?;
        result
    });
    writeln!(schedule, "{:#?}\nstalls {observed_stalls:?}", injector.events)?;
    fs::write(folder.join("schedule"), schedule)?;
    result?;

    report.kills = injector.fleet.kills();
    let mut histories = injector.fleet.histories(redis_port)?;
    for history in &mut histories {
        history.stalls = observed_stalls[usize::from(history.is_proxied)].clone();
    }
    for (faults, end) in ends {
        let first_reply = |server| {
            // A server that was killed has another history since it was started again.
            let calls = histories.iter().filter(|it| it.server == server).flat_map(|it| &it.calls);
            let after = calls.filter(|call| call.began >= end && call.reply.is_some());
            after.map(|call| call.ended - end).min()
        };
        let last = (0..options.servers).filter_map(first_reply).max().unwrap_or(0);
        report.recoveries.entry(faults).or_default().push(Duration::from_micros(last));
    }
    let [direct, proxied] = &observed_stalls;
    let stall_times = direct.iter().map(|(from, until)| until.saturating_sub(*from));
    report.stall_time = Duration::from_micros(stall_times.sum());
    report.stalls = (direct.len(), proxied.len());
    report.attacks = std::mem::take(&mut injector.attacks);
    let mut events = injector.events;
    report.events = (events.losses.len(), events.failovers.len(), events.settings.len());
    events.samples = report.samples.clone();
    report.findings = judge(histories, DEADLINE, &events);
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

/// Measures the resources of each server. If possible, the function waits until each server has all its connections to
/// Redis.
fn process_stats(servers: &[StormServer]) -> std::io::Result<Vec<ProcessStats>> {
    // The calls that the servers have already sent to Redis end during this pause.
    thread::sleep(Duration::from_secs(1));
    let _ = retry_until(TIMEOUT, || {
        let stats: Vec<_> =
            servers.iter().filter_map(|server| ProcessStats::of(server).ok()).collect();
        stats.iter().all(|stats| stats.connections == CONNECTIONS).then_some(())
    });
    servers.iter().map(ProcessStats::of).collect()
}
