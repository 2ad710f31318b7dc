//! What the system tells of processes.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use super::Outcome;

/// What `/proc` counts CPU time in, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A child process that ends with this value.
#[derive(Debug)]
pub struct OwnProcess(pub Child);

impl OwnProcess {
    /// CPU time of all its threads so far, to the nanosecond. Linux alone tells.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn cpu(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))?.flatten() {
            // A thread may end in between.
            let Ok(times) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            nanos += times.split(' ').next().ok_or("no CPU time")?.trim().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Kills it and waits until it is gone.
    pub fn end(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// CPU time of this process so far, also of threads that have ended.
///
/// # Errors
///
/// If the system does not tell.
pub fn own_cpu() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before it may hold blanks. After it the state is the first field, user time the 12th, system time the 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no CPU time")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || times.next().ok_or("no CPU time");
    Ok(TICK * (next()?? + next()??) as u32)
}

/// CPU time that all processes together have used so far.
///
/// # Errors
///
/// If the system does not tell.
pub fn cpu_of_all() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("no CPU time")?;
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).map_while(|it| it.parse().ok()).collect();
    // The fourth and the fifth are idle time, the next two are interrupts, which the loopback network causes and which belong
    // to no process. Those after the eighth are in the first two already.
    let [user, nice, system, _, _, _, _, stolen, ..] = fields[..] else {
        return Err("unknown CPU times".into());
    };
    Ok(TICK * (user + nice + system + stolen) as u32)
}

/// How many files this process may open.
#[must_use]
pub fn max_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A line about the machine.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let rust = Command::new("rustc").arg("--version").output().map(|out| out.stdout);
    let rust = rust.map(|out| String::from_utf8_lossy(&out).trim().to_owned()).unwrap_or_default();
    format!("{cores} cores, load {}, {rust}", load.split(' ').next().unwrap_or("unknown"))
}
