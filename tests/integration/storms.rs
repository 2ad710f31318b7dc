//! Short chaos tests: four application servers handle a load while the test injects faults into their Redis server. A
//! test fails if the recorded decisions violate a guarantee. The script `scripts/storm` runs such a test for any
//! duration.

#![allow(clippy::print_stdout, reason = "the test prints figures")]

use std::{env, process::Command};

/// The approximate duration of a test in seconds. The program always waits for the end of the current fault and for
/// the recovery, so a test may take longer.
const SECONDS: &str = "12";

/// Runs the chaos test with this seed and these faults. Without these arguments, the seed is random and all default
/// faults are injected.
fn run(seed: Option<&str>, faults: Option<&str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
    // The program `storm` starts the program `storm_server` from its own folder, so `storm_server` must exist.
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_storm_server")).exists());
    // Other tests run in parallel, so Redis may have to wait for a processor for longer than the deadline. Therefore
    // undecided checks are not a failure of this test.
    command.args(["--seconds", SECONDS, "--judge-undecided", "false"]);
    for (name, value) in [("--seed", seed), ("--faults", faults)] {
        command.args(value.into_iter().flat_map(|value| [name, value]));
    }
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{stderr}\n{stdout}");
    assert!(stdout.starts_with("seed "), "{stdout}");
    println!("{stdout}");
}

#[test]
fn fixed_seed_finds_no_violation() {
    run(Some("20"), None);
}

#[test]
fn random_seed_finds_no_violation() {
    run(env::var("RATEGUARD_SEED").ok().as_deref(), None);
}

#[test]
fn clock_steps_find_no_violation() {
    run(None, Some("clock-back,clock-forward,kill-keep-data,script-flush"));
}
