//! Short chaos tests: four application servers handle a load while the test injects faults into their Redis server. A
//! run fails if the recorded decisions violate a guarantee. `scripts/storm` runs the same test for any duration.

#![allow(clippy::print_stdout, reason = "the test prints figures")]

use std::{env, process::Command};

/// The approximate duration in seconds. The test always completes a started fault and the recovery, so it may run
/// longer.
const SECONDS: &str = "12";

/// Runs the chaos test with this seed and these faults; the defaults are a random seed and all faults.
fn run(seed: Option<&str>, faults: Option<&str>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
    // The program starts the server's executable from the program's own folder, so the file must exist.
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_storm_server")).exists());
    // Parallel tests may leave Redis without a processor for longer than a deadline, so the test allows undecided
    // checks.
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
