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

/// Pins this process and its future threads to this core. Returns a description of the result.
#[must_use]
pub fn pin_this_process(core: usize) -> &'static str {
    let (core, id) = (core.to_string(), process::id().to_string());
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", &core, &id]).stdout(Stdio::null());
    let is_pinned = is_possible() && taskset.status().is_ok_and(|status| status.success());
    if is_pinned { "each pinned to its own core" } else { "NOT pinned to cores" }
}

fn is_possible() -> bool {
    let version = || Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    cores() > 1 && version().is_ok_and(|status| status.success())
}
