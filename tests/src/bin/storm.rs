//! Lets a storm rage over four servers and their Redis: `storm [--seed N] [--minutes M] [--seconds S] [--faults A,B]`.
//!
//! It says what came of it, and fails if anything of that must not be; then it keeps what the servers and Redis have written
//! down, and when which fault came. The same seed has the same faults in the same order; what they meet is a matter of time.

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
    PATIENCE,
    clock::Clock,
    faults::World,
    limits::MODES,
    load::load,
    now,
    probes::{probe, stalls},
    proxy::Proxy,
    redis_process::RedisProcess,
    report::Report,
    schedule::{Fault, steps},
    site::Site,
    verdict::{History, Violation, judge},
    vitals::Vitals,
    within,
};

/// What the servers give Redis.
const DEADLINE: Duration = Duration::from_millis(100);
/// So many connections ask each server, with pauses of about so long: together some thousand requests a second.
const CONNECTIONS: u64 = 8;
const PAUSE: Duration = Duration::from_millis(30);
/// What a server holds is looked at for the first time after so long, when all is there that it needs.
const EARLY: Duration = Duration::from_secs(60);

/// What is asked for.
struct Wanted {
    seed: u64,
    lasts: Duration,
    faults: Vec<Fault>,
    /// Requests that were left undecided without a fault are violations. On a busy machine Redis may have no processor for the
    /// length of a deadline, which no probe proves.
    judges_undecided: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let wanted = wanted(env::args().skip(1))?;
    println!("seed {}", wanted.seed);
    // In memory if possible: a disk that is slow for others makes Redis silent.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let folder = folder.join(format!("rateguard-storm-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let report = rage(&wanted, &folder).inspect_err(|_| kept(&folder))?;
    print!("{report}");
    let complaints = report.complaints();
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() {
        fs::remove_dir_all(&folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    kept(&folder);
    eprintln!("the same faults again: --seed {}", wanted.seed);
    Ok(ExitCode::FAILURE)
}

/// Says where to look for what was written down.
fn kept(folder: &Path) {
    eprintln!("the histories, the schedule and what Redis kept are in {}", folder.display());
}

fn rage(wanted: &Wanted, folder: &Path) -> Result<Report, Box<dyn Error>> {
    let sets_clocks = wanted.faults.iter().any(|fault| fault.is_of_the_clock());
    let clock = if sets_clocks { Clock::compile(folder)? } else { None };
    let mut faults = wanted.faults.clone();
    if sets_clocks && clock.is_none() {
        println!("no C compiler here, so no clock is set");
        faults.retain(|fault| !fault.is_of_the_clock());
    }
    let redis = RedisProcess::start(folder, clock)?;
    // Half of the servers ask Redis themselves, the others by a way that may be bad.
    let proxies = [Proxy::start(redis.port())?, Proxy::start(redis.port())?];
    let ports = [redis.port(), redis.port(), proxies[0].port(), proxies[1].port()];
    let program = env::current_exe()?.with_file_name("storm_server");
    let start = |(server, mode): (usize, &&str)| {
        let history = folder.join(format!("history-{server}"));
        Site::start(&program, ports[server], mode, DEADLINE, history)
    };
    let sites: Vec<Site> = MODES.iter().enumerate().map(start).collect::<Result<_, _>>()?;
    let targets = sites.iter().map(Site::port).collect();
    let redis_id = AtomicU32::new(redis.id());
    let mut world = World::new(redis, proxies.to_vec(), targets);
    let mut report = Report::default();

    let stop = AtomicBool::new(false);
    // When the faults of which step were over.
    let mut ends = Vec::new();
    let mut schedule = format!("seed {}\n", wanted.seed);
    let mut stalled = [Vec::new(), Vec::new()];
    let raged = thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let probing = [ports[0], ports[3]].map(|port| {
            let (redis, stop) = (&redis_id, &stop);
            scope.spawn(move || probe(port, redis, stop))
        });
        let asking: Vec<_> = (0..CONNECTIONS * sites.len() as u64)
            .map(|number| {
                let (stop, port) = (&stop, sites[number as usize % sites.len()].port());
                let seed = wanted.seed.wrapping_add(number);
                scope.spawn(move || load(port, seed, PAUSE, stop))
            })
            .collect();
        let raged = || -> Result<(), Box<dyn Error>> {
            until_answered(&sites).map_err(|_| "Redis does not answer at first")?;
            let (start, mut early) = (Instant::now(), None);
            for step in steps(wanted.seed, &faults) {
                if start.elapsed() >= wanted.lasts {
                    break;
                }
                writeln!(schedule, "{} begins {}", now(), step.words())?;
                let suffered = world.suffer(&step);
                redis_id.store(world.redis.id(), Relaxed);
                suffered?;
                ends.push((step.words(), now()));
                writeln!(schedule, "{} ends {}", now(), step.words())?;
                if until_answered(&sites).is_err() {
                    report.lost.push(step.words());
                }
                thread::sleep(step.calm);
                if early.is_none() && start.elapsed() >= EARLY {
                    early = Some(vitals(&sites)?);
                }
            }
            if let Some(early) = early {
                report.vitals = early.into_iter().zip(vitals(&sites)?).collect();
            }
            Ok(())
        }();
        stop.store(true, Relaxed);
        for asking in asking {
            report.answers.add(asking.join().map_err(|_| "a client has panicked")?);
        }
        for (probing, stalled) in probing.into_iter().zip(&mut stalled) {
            *stalled = stalls(&probing.join().map_err(|_| "a probe has panicked")?);
        }
        raged
    });
    writeln!(schedule, "{:#?}\nstalls {stalled:?}", world.happened)?;
    fs::write(folder.join("schedule"), schedule)?;
    raged?;

    let mut histories = Vec::new();
    for ((site, mode), port) in sites.into_iter().zip(MODES).zip(ports) {
        let (asked, requests) = site.history()?;
        let is_proxied = port != world.redis.port();
        let stalls = stalled[usize::from(is_proxied)].clone();
        histories.push(History { mode, is_proxied, stalls, asked, requests });
    }
    for (faults, end) in ends {
        let answered = histories.iter().filter_map(|history| {
            let after = history.asked.iter().filter(|asked| asked.began >= end);
            after.filter(|asked| asked.said.is_some()).map(|asked| asked.ended - end).min()
        });
        let last = answered.max().unwrap_or(0);
        report.recoveries.entry(faults).or_default().push(Duration::from_micros(last));
    }
    let stalled_for = stalled[0].iter().map(|(from, until)| until.saturating_sub(*from));
    report.stalled = Duration::from_micros(stalled_for.sum());
    report.stalls = (stalled[0].len(), stalled[1].len());
    report.attacks = std::mem::take(&mut world.attacks);
    report.happened = (world.happened.losses.len(), world.happened.settings.len());
    report.verdict = judge(histories, DEADLINE, &world.happened);
    if !wanted.judges_undecided {
        report.verdict.found.remove(&Violation::Undecided);
    }
    Ok(report)
}

/// Until Redis has answered each of them once more.
fn until_answered(sites: &[Site]) -> Result<(), Duration> {
    let before: Vec<_> = sites.iter().map(|site| site.answers().ok()).collect();
    for (site, before) in sites.iter().zip(before) {
        within(PATIENCE / 2, || {
            let is_more = site.answers().ok() > before;
            if !is_more {
                thread::sleep(Duration::from_millis(20));
            }
            is_more.then_some(())
        })?;
    }
    Ok(())
}

/// What each server holds, if it can be when each has one connection to Redis.
fn vitals(sites: &[Site]) -> std::io::Result<Vec<Vitals>> {
    // So that nothing is left of what was asked last.
    thread::sleep(Duration::from_secs(1));
    let _ = within(PATIENCE, || {
        let vitals: Vec<_> = sites.iter().filter_map(|site| Vitals::of(site).ok()).collect();
        vitals.iter().all(|vitals| vitals.connections == 1).then_some(())
    });
    sites.iter().map(Vitals::of).collect()
}

fn wanted(mut args: impl Iterator<Item = String>) -> Result<Wanted, Box<dyn Error>> {
    // Short enough to be typed again.
    let seed = RandomState::new().build_hasher().finish() >> 32;
    let mut faults = Fault::ALL.map(|(_, fault)| fault).to_vec();
    // With a clock that is set less can be told of the rest.
    faults.retain(|fault| !fault.is_of_the_clock());
    let mut wanted =
        Wanted { seed, lasts: Duration::from_secs(60), faults, judges_undecided: true };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} wants a value"))?;
        match &*arg {
            "--seed" => wanted.seed = value.parse()?,
            "--minutes" => wanted.lasts = Duration::from_secs_f64(value.parse::<f64>()? * 60.0),
            "--seconds" => wanted.lasts = Duration::from_secs(value.parse()?),
            "--faults" => wanted.faults = value.split(',').map(fault).collect::<Result<_, _>>()?,
            "--judge-undecided" => wanted.judges_undecided = value.parse()?,
            _ => {
                return Err(
                    "usage: storm [--seed N] [--minutes M] [--seconds S] [--faults A,B] [--judge-undecided true|false]".into()
                );
            }
        }
    }
    Ok(wanted)
}

fn fault(word: &str) -> Result<Fault, String> {
    let known = Fault::ALL.iter().find(|(known, _)| *known == word);
    known.map(|(_, fault)| *fault).ok_or_else(|| {
        let legal = Fault::ALL.map(|(word, _)| word).join(", ");
        format!("there is no fault \"{word}\"; the faults are: {legal}")
    })
}
