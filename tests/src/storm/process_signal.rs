//! Stops and resumes processes of a storm, which is a test that injects random faults.

use std::{fs, process::Command};

use super::{TIMEOUT, retry_until};

/// Stops the process with SIGSTOP, and waits until it has stopped.
pub fn freeze(process: u32) {
    send(process, "STOP");
    // In `/proc/PID/stat`, the state of the process is after the process name, which is in parentheses. On a system
    // without `/proc`, the state cannot be read.
    let stat = || fs::read_to_string(format!("/proc/{process}/stat")).ok();
    let _ = retry_until(TIMEOUT, || match stat() {
        Some(stat) => stat.rsplit(')').next()?.trim_start().starts_with('T').then_some(()),
        None => Some(()),
    });
}

/// Resumes the process after a call of [`freeze`].
pub fn resume(process: u32) {
    send(process, "CONT");
}

fn send(process: u32, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
}
