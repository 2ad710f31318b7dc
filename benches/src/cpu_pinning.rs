//! Pins processes to cores, so that the measured process does not share its core.

use std::process::{self, Command, Stdio};

use crate::cpu::cores;

/// A command that runs a program on this core only. It is not pinned if there is only one core or no `taskset`.
#[must_use]
pub fn pinned_command(core: usize, program: &str) -> Command {
    if !is_possible() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string(), program]);
    command
}

/// A command that runs a program on all cores, even if this process is pinned to one of them.
#[must_use]
pub fn unpinned_command(program: &str) -> Command {
    if !is_possible() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &format!("0-{}", cores() - 1), program]);
    command
}

/// Pins this process and its future threads to this core. Returns a description of the result.
#[must_use]
pub fn pin_this_process(core: usize) -> &'static str {
    let (core, id) = (core.to_string(), process::id().to_string());
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", &core, &id]).stdout(Stdio::null());
    let is_pinned = is_possible() && taskset.status().is_ok_and(|status| status.success());
    if is_pinned { "each pinned to its own core" } else { "NOT pinned to cores" }
}

/// Describes where a server with this many workers runs, and where the processes that it works with run. `pinned` is the
/// result of [`pin_this_process`].
#[must_use]
pub fn describe_server(pinned: &str, workers: usize) -> String {
    match workers {
        1 => format!("server / load and Redis: {pinned}; 1 worker"),
        _ if is_possible() => format!(
            "server: NOT pinned to a core; {workers} workers; load and Redis: pinned to the second core"
        ),
        _ => format!("server / load and Redis: {pinned}; {workers} workers"),
    }
}

fn is_possible() -> bool {
    let version = || Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    cores() > 1 && version().is_ok_and(|status| status.success())
}
