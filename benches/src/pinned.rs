//! Cores of their own for what is measured and for what it works with.

use std::process::{self, Command, Stdio};

use crate::cpu::cores;

/// A program that will run on this core alone, if the machine has two of them and `taskset`.
#[must_use]
pub fn command(core: usize, program: &str) -> Command {
    if !is_possible() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string(), program]);
    command
}

/// Keeps this process on this core, with all threads that it starts from now on.
#[must_use]
pub fn this_process(core: usize) -> &'static str {
    let (core, id) = (core.to_string(), process::id().to_string());
    let mut taskset = Command::new("taskset");
    taskset.args(["--cpu-list", "--pid", &core, &id]).stdout(Stdio::null());
    let is_pinned = is_possible() && taskset.status().is_ok_and(|status| status.success());
    if is_pinned { "each on a core of its own" } else { "NOT on cores of their own" }
}

fn is_possible() -> bool {
    let is_there = || Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    cores() > 1 && is_there().is_ok_and(|status| status.success())
}
