//! Short chaos tests: four or eight application servers handle a load while the test injects faults into them and
//! into their Redis server. A test fails if the recorded decisions violate a guarantee. The script `scripts/storm` runs
//! such a test for any duration.

#![allow(clippy::print_stdout, reason = "the test prints figures")]

use std::{env, process::Command};

/// The approximate duration of a test in seconds. The program always waits for the end of the current fault and for
/// the recovery, so a test may take longer.
const SECONDS: &str = "12";

/// The maximum number of runs in which a mistake of the servers must be found. On a slow machine, the load of one run
/// may be too low to reach the limits.
const MAX_RUNS: usize = 10;

/// Starts the chaos test with this seed, these faults and further arguments. Without a seed and faults, the seed is
/// random and all default faults are injected. Returns whether it succeeded, and what it printed.
fn storm(seed: Option<&str>, faults: Option<&str>, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_storm"));
    // The program `storm` starts the program `storm_server` from its own folder, so `storm_server` must exist.
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_storm_server")).exists());
    // Other tests run in parallel, so Redis may have to wait for a processor for longer than the deadline. Therefore
    // undecided checks are not a failure of this test.
    command.args(["--seconds", SECONDS, "--judge-undecided", "false"]).args(args);
    for (name, value) in [("--seed", seed), ("--faults", faults)] {
        command.args(value.into_iter().flat_map(|value| [name, value]));
    }
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(stdout.starts_with("seed "), "{stderr}\n{stdout}");
    (output.status.success(), format!("{stderr}\n{stdout}"))
}

/// Runs the chaos test, which must find no violation.
fn run(seed: Option<&str>, faults: Option<&str>, args: &[&str]) {
    let (is_success, output) = storm(seed, faults, args);
    assert!(is_success, "{output}");
    println!("{output}");
}

#[test]
fn fixed_seed_finds_no_violation() {
    run(Some("20"), None, &[]);
}

#[test]
fn random_seed_finds_no_violation() {
    run(env::var("RATEGUARD_SEED").ok().as_deref(), None, &[]);
}

#[test]
fn clock_steps_find_no_violation() {
    run(None, Some("clock-back,clock-forward,kill-keep-data,script-flush"), &[]);
}

#[test]
fn killed_servers_and_failovers_find_no_violation() {
    let faults = "server-kill,server-stop,failover,kill-lose-data";
    run(None, Some(faults), &["--servers", "8"]);
}

/// Runs the chaos test with servers that make a mistake, until it finds this violation. It may find others too.
fn assert_finds(defect: &str, violation: &str) {
    let found = format!("{violation}: ");
    let finds = |_| {
        let (is_success, output) = storm(None, Some("script-flush"), &["--defect", defect]);
        !is_success && output.contains(&found)
    };
    assert!((0..MAX_RUNS).any(finds), "no run finds `{violation}`");
}

#[test]
fn leases_that_count_from_their_grant_are_found() {
    assert_finds("stamped-at-grant", "OverAdmission");
}

#[test]
fn permits_that_are_not_renewed_in_the_store_are_found() {
    assert_finds("blind-renewals", "Permits");
}
