//! Tests the memory store during a flood of random keys. One test is ignored by default, because it takes one to two
//! minutes. The following command runs this test, which prints its measurements:
//!
//! ```sh
//! cargo test --release -p rateguard-tests --test integration -- ten_million --ignored --nocapture
//! ```

#![allow(clippy::print_stdout, reason = "the test prints figures")]

use std::{collections::HashMap, process::Command};

use actix_rateguard::Algorithm;

/// The maximum memory in bytes for each key, as documented in docs/stores.md.
const BYTES_PER_KEY: u64 = 390;

/// Runs the program `flood` and returns its figures. The program is a separate process, so the memory of other tests
/// is not included.
fn flood(keys: u64, cap: u64, rate: &str) -> HashMap<String, u64> {
    let program = env!("CARGO_BIN_EXE_flood");
    let output = Command::new(program)
        .args([keys.to_string(), cap.to_string(), rate.to_owned()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let figure = |line: &str| {
        let (name, number) = line.split_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    let figures: HashMap<String, u64> = text.lines().map(figure).collect();
    let bytes_per_key = figures["bytes"] / cap;
    println!(
        "{keys} keys, room for {cap}, {rate}: {bytes_per_key} bytes for each stored key; {figures:?}"
    );

    assert_eq!(figures["freed"], 0, "a denied key was admitted during the flood");
    let share = |part: &str, whole: u64| figures[part] as f64 / whole as f64;
    let (legitimate, all) =
        (share("legitimate_admitted", figures["legitimate"]), share("admitted", keys));
    println!("share admitted of legitimate keys: {legitimate:.4}, of all keys: {all:.4}");
    assert!(
        legitimate > 0.01,
        "expected more than 0.01 of the legitimate keys admitted, found {legitimate}"
    );
    assert!(all < 0.8, "expected less than 0.8 of all keys admitted, found {all}");
    figures
}

#[test]
fn flood_of_keys_retains_denials_and_takes_bounded_memory() {
    let cap = 5_000;
    for (_, algorithm) in Algorithm::NAMES {
        // The window is so short that keys expire during the flood. Expired keys make room for other keys.
        let figures = flood(100_000, cap, &format!("5/400ms {algorithm}"));
        // The store may use 4 MB more for shared logs and for memory pages that are only partly used.
        let bytes = figures["bytes"];
        assert!(bytes < cap * BYTES_PER_KEY + 4_000_000, "{bytes}");
    }
}

#[test]
#[ignore = "takes one to two minutes"]
fn flood_of_ten_million_keys_takes_bounded_memory() {
    let cap = 100_000;
    for (_, algorithm) in Algorithm::NAMES {
        let figures = flood(10_000_000, cap, &format!("5/10s {algorithm}"));
        let bytes = figures["bytes"];
        assert!(bytes < cap * BYTES_PER_KEY * 12 / 10, "{bytes}");
        // This maximum is ten times the time that was measured on an idle machine, so the test also succeeds on a
        // busy machine.
        assert!(figures["p99_ns"] < 50_000, "{figures:?}");
    }
}
