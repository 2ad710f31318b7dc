//! What the system tells of processes.

use std::{
    fs,
    process::{Child, Command},
    time::Duration,
};

use super::Outcome;

/// A child process that ends with this value.
#[derive(Debug)]
pub struct OwnProcess(pub Child);

impl OwnProcess {
    /// CPU time of all its threads so far. Linux alone tells.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn cpu(&self) -> Outcome<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0.id()))?.flatten() {
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
