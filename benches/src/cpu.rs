//! How much of a core a process has used, and which machine it is.

use std::{
    fs,
    process::Command,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// What `/proc` counts in, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// What all threads of a process have used so far: `self`, or its number. Linux alone tells.
///
/// # Errors
///
/// If the system does not tell.
pub fn used(process: &str) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before it may hold blanks. After it the state is the first field, user time the 12th, system time the 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no process")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<f64>);
    let mut next = || times.next().ok_or("no times");
    Ok(Duration::from_secs_f64((next()?? + next()??) / TICKS_PER_SECOND))
}

/// A line about the machine.
#[must_use]
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let busy = busy.split(' ').next().unwrap_or("unknown");
    let rust = version("rustc");
    format!("{} cores, {model}; {rust}; load at the start {busy}", cores())
}

/// How many cores this process may use, before it has kept itself to one of them.
#[must_use]
pub fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}

/// What a program says that it is.
#[must_use]
pub fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}

/// Time and CPU time of a process since a moment.
pub struct Stopwatch {
    process: String,
    started: Instant,
    used: Duration,
}

impl Stopwatch {
    /// Begins now.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn start(process: &str) -> Outcome<Self> {
        Ok(Self { process: process.to_owned(), started: Instant::now(), used: used(process)? })
    }

    /// Time and CPU time since.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn read(&self) -> Outcome<(Duration, Duration)> {
        Ok((self.started.elapsed(), used(&self.process)?.saturating_sub(self.used)))
    }
}
