//! Heap allocations of a check and of a request, with the memory store.

use std::{collections::HashMap, process::Command};

/// Counts the allocations in a separate process, for each kind of request.
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
    for check in ["check", "check with metrics"] {
        assert_eq!(["allowed", "denied"].map(|it| counts[&format!("{check}, {it}")]), [0, 0]);
    }
    // A limit may cause four allocations: the middleware's future, the decision, and the box and the table in which
    // actix-web stores the decision for the handler.
    let additional = counts["response of a limit"] - counts["response with three headers"];
    assert!(additional <= 4, "{counts:?}");
}
