//! The CPU time of processes, and a description of the machine.

use std::{
    fs,
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use crate::BenchResult;

/// The unit of CPU times in `/proc`, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The CPU time of all threads of a process so far. `process` is a process id or `self`. Linux only.
///
/// # Errors
///
/// If the system does not report it.
pub fn used(process: &str) -> BenchResult<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The process name may contain spaces. After it, the state is the first field, user time the 12th, system time the
    // 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no CPU time")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let mut next = || times.next().ok_or("no CPU time");
    Ok(Duration::from_secs_f64((next()?? + next()??) / TICKS_PER_SECOND))
}

/// A description of the machine in one line.
#[must_use]
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let rust = version("rustc");
    format!("{} cores, {model}; {rust}; load at the start {load}", cores())
}

/// The number of cores that this process could use before it was pinned to one.
#[must_use]
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// The output of a program with `--version`.
#[must_use]
pub fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}

/// Measures time and CPU time of a process.
pub struct Stopwatch {
    process: String,
    started: Instant,
    used: Duration,
}

impl Stopwatch {
    /// Starts the measurement.
    ///
    /// # Errors
    ///
    /// If the system does not report the CPU time.
    pub fn start(process: &str) -> BenchResult<Self> {
        Ok(Self { process: process.to_owned(), started: Instant::now(), used: used(process)? })
    }

    /// The time and the CPU time since the start.
    ///
    /// # Errors
    ///
    /// If the system does not report the CPU time.
    pub fn read(&self) -> BenchResult<(Duration, Duration)> {
        Ok((self.started.elapsed(), used(&self.process)?.saturating_sub(self.used)))
    }
}
