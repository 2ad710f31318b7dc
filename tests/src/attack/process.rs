//! Reads the CPU times of processes and the maximum number of open files.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use super::AttackResult;

/// The duration of a tick, which is the unit of the CPU times in `/proc`. This duration is the same on every Linux
/// system.
const TICK: Duration = Duration::from_millis(10);

/// A child process that is killed when this value is dropped.
#[derive(Debug)]
pub struct ChildProcess(pub Child);

impl ChildProcess {
    /// The CPU time that all threads of the process have used until now. Linux only.
    ///
    /// # Errors
    ///
    /// Returns an error if the system does not report the CPU time.
    pub fn cpu(&self) -> AttackResult<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))?.flatten() {
            // A thread may end during the loop, so a missing file is not an error.
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

/// Returns the CPU time that this process has used until now, including threads that have ended.
///
/// # Errors
///
/// Returns an error if the system does not report the CPU time.
pub fn own_cpu() -> AttackResult<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The process name may contain spaces, so the fields are counted from the end of the name: the state is the first
    // field, the user time is the 12th, and the system time is the 13th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no CPU time")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    let mut next = || times.next().ok_or("no CPU time");
    Ok(TICK * (next()?? + next()??) as u32)
}

/// Returns the CPU time that all processes have used until now.
///
/// # Errors
///
/// Returns an error if the system does not report the CPU time.
pub fn cpu_of_all() -> AttackResult<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("no CPU time")?;
    let fields: Vec<u64> =
        line.split_whitespace().skip(1).map_while(|it| it.parse().ok()).collect();
    // The fourth and fifth fields are idle time. The next two fields are the time for interrupts. The loopback
    // network causes interrupts, and their time belongs to no process. The fields after the eighth are already
    // included in `user` and `nice`.
    let [user, nice, system, _, _, _, _, stolen, ..] = fields[..] else {
        return Err("unknown CPU times".into());
    };
    Ok(TICK * (user + nice + system + stolen) as u32)
}

/// Returns the maximum number of files that this process may have open.
#[must_use]
pub fn max_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns a description of the machine in one line.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let rust = Command::new("rustc").arg("--version").output().map(|out| out.stdout);
    let rust = rust.map(|out| String::from_utf8_lossy(&out).trim().to_owned()).unwrap_or_default();
    format!("{cores} cores, load {}, {rust}", load.split(' ').next().unwrap_or("unknown"))
}
