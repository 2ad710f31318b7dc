//! Tests the number of heap allocations for a check and for an HTTP request. The guard uses the memory store.

use std::{collections::HashMap, process::Command};

/// Returns the number of heap allocations for each kind of request. A separate process counts them.
fn count_allocations() -> HashMap<String, u64> {
    let output = Command::new(env!("CARGO_BIN_EXE_allocations")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (name, number) = line.rsplit_once(": ").unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    lines.lines().map(line).collect()
}

#[test]
fn check_allocates_nothing_and_limit_at_most_four_times() {
    let counts = count_allocations();
    for check in ["check", "check with metrics", "check with statistics"] {
        assert_eq!(["allowed", "denied"].map(|it| counts[&format!("{check}, {it}")]), [0, 0]);
    }
    // A limit may make four heap allocations for each request. The first two are the future of the middleware and
    // the decision. The other two are the box and the table in which actix-web stores the decision for the handler.
    let additional = counts["response of a limit"] - counts["response with three headers"];
    assert!(additional <= 4, "{counts:?}");
}
