//! The store in memory under a flood of keys that somebody invents. In full, with its figures, in a minute or two:
//!
//! ```sh
//! cargo test --release -p rateguard-tests --test integration -- ten_million --ignored --nocapture
//! ```

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::{collections::HashMap, process::Command};

use rateguard::Algorithm;

/// What the README says that a key takes at most.
const BYTES_PER_KEY: u64 = 390;

/// In a process of its own, as nothing else tells its memory from that of other tests.
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
        "{keys} keys on room for {cap}, {rate}: {bytes_per_key} bytes for each kept; {figures:?}"
    );

    assert_eq!(figures["freed"], 0, "who was denied stays denied");
    let share = |part: &str, whole: u64| figures[part] as f64 / whole as f64;
    let (innocents, all) =
        (share("innocent_admitted", figures["innocent"]), share("admitted", keys));
    println!("admitted of newcomers: {innocents:.4}, of all: {all:.4}");
    assert!(innocents > 0.01, "newcomers are not shut out: {innocents}");
    assert!(all < 0.8, "nor is everybody let in: {all}");
    figures
}

#[test]
fn a_flood_of_keys_neither_frees_nor_shuts_out_and_takes_bounded_memory() {
    let cap = 5_000;
    for (_, algorithm) in Algorithm::NAMES {
        // Room is found again and again.
        let figures = flood(100_000, cap, &format!("5/400ms {algorithm}"));
        // Besides the keys, the shared logs, which are few beside many keys; and pages.
        let bytes = figures["bytes"];
        assert!(bytes < cap * BYTES_PER_KEY + 4_000_000, "{bytes}");
    }
}

#[test]
#[ignore = "it takes a minute or two"]
fn ten_million_keys_on_room_for_a_hundred_thousand() {
    let cap = 100_000;
    for (_, algorithm) in Algorithm::NAMES {
        let figures = flood(10_000_000, cap, &format!("5/10s {algorithm}"));
        let bytes = figures["bytes"];
        assert!(bytes < cap * BYTES_PER_KEY * 12 / 10, "{bytes}");
        // Ten times what it takes on an idle machine.
        assert!(figures["p99_ns"] < 50_000, "{figures:?}");
    }
}
