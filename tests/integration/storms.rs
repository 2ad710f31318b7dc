//! Four servers under load while one fault after the other befalls their Redis: nothing that they promise is broken.
//! `scripts/storm` does the same for as long as one likes.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::{env, process::Command};

/// For about so many seconds; faults that have begun end, and so does what they cost.
const SECONDS: &str = "12";

/// Lets it rage with a seed and these faults, if any are named.
fn storm(seed: Option<&str>, faults: Option<&str>) {
    let mut storm = Command::new(env!("CARGO_BIN_EXE_storm"));
    // The server is beside it.
    assert!(std::path::Path::new(env!("CARGO_BIN_EXE_storm_server")).exists());
    // The tests beside it may leave Redis without a processor for the length of a deadline.
    storm.args(["--seconds", SECONDS, "--judge-undecided", "false"]);
    for (name, value) in [("--seed", seed), ("--faults", faults)] {
        storm.args(value.into_iter().flat_map(|value| [name, value]));
    }
    let output = storm.output().unwrap();
    let [said, complaints] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{complaints}\n{said}");
    assert!(said.starts_with("seed "), "{said}");
    println!("{said}");
}

#[test]
fn a_storm_of_a_known_seed_breaks_no_promise() {
    storm(Some("20"), None);
}

#[test]
fn a_storm_of_any_seed_breaks_no_promise() {
    storm(env::var("RATEGUARD_SEED").ok().as_deref(), None);
}

#[test]
fn a_storm_in_which_the_clock_is_set_breaks_no_promise() {
    storm(None, Some("clock-back,clock-forward,kill-kept,script-flush"));
}
