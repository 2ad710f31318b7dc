//! What `scripts/fuzz` does at length, briefly and always the same.

use rateguard_tests::fuzz::TARGETS;

#[test]
fn nothing_breaks_and_every_outcome_is_met() {
    for (name, run) in TARGETS {
        let report = run(5_000, 1).unwrap_or_else(|broken| panic!("{name}: {broken}"));
        for (outcome, count) in &report.outcomes {
            assert!(*count > 0, "{name}: never {outcome}");
        }
    }
}
