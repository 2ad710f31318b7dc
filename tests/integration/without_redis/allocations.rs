//! What the way of a request takes from the heap, where the store is in memory.

use std::{collections::HashMap, process::Command};

/// The allocations that a process of its own has counted, by the kind of request.
fn counted() -> HashMap<String, u64> {
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
fn a_check_takes_nothing_from_the_heap_and_a_request_what_its_handler_may_ask_for() {
    let counted = counted();
    for check in ["check", "check that is counted"] {
        assert_eq!(["allowed", "denied"].map(|it| counted[&format!("{check}, {it}")]), [0, 0]);
    }
    // The middleware's future; and the decision, with the box and the table in which actix-web keeps it for the handler.
    let more = counted["answer of a limit"] - counted["answer with three headers"];
    assert!(more <= 4, "{counted:?}");
}
