//! The CPU times and the file limit of processes.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use super::AttackResult;

/// The duration of a tick, in which `/proc` reports CPU times, on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A child process that is killed when this value is dropped.
#[derive(Debug)]
pub struct ChildProcess(pub Child);

impl ChildProcess {
    /// The CPU time of all threads of the process so far. Linux only.
    ///
    /// # Errors
    ///
    /// If the system does not report the CPU time.
    pub fn cpu(&self) -> AttackResult<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))?.flatten() {
            // A thread may end during the loop, so a missing file is no error.
            let Ok(times) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            nanos += times.split(' ').next().ok_or("no CPU time")?.trim().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Kills the process and waits until it has ended.
    pub fn end(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// The CPU time of this process so far, including threads that have ended.
///
/// # Errors
///
/// If the system does not report the CPU time.
pub fn own_cpu() -> AttackResult<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The process name may contain spaces, so the fields are counted after it: the state is the first field, user time
    // the 12th, system time the 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no CPU time")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || times.next().ok_or("no CPU time");
    Ok(TICK * (next()?? + next()??) as u32)
}

/// The CPU time of all processes so far.
///
/// # Errors
///
/// If the system does not report the CPU time.
pub fn cpu_of_all() -> AttackResult<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("no CPU time")?;
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).map_while(|it| it.parse().ok()).collect();
    // The fourth and fifth fields are idle time. The next two fields are interrupts; the loopback network causes them,
    // and they belong to no process. The fields after the eighth are parts of `user` and `nice`.
    let [user, nice, system, _, _, _, _, stolen, ..] = fields[..] else {
        return Err("unknown CPU times".into());
    };
    Ok(TICK * (user + nice + system + stolen) as u32)
}

/// The maximum number of open files of this process.
#[must_use]
pub fn max_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Describes the machine in one line.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let rust = Command::new("rustc").arg("--version").output().map(|out| out.stdout);
    let rust = rust.map(|out| String::from_utf8_lossy(&out).trim().to_owned()).unwrap_or_default();
    format!("{cores} cores, load {}, {rust}", load.split(' ').next().unwrap_or("unknown"))
}
