//! Runs each fuzz target of `scripts/fuzz` for a short time. The random inputs have a fixed seed, so each run uses
//! the same inputs.

use rateguard_tests::fuzz::TARGETS;

#[test]
fn fuzz_targets_find_no_violation_and_reach_every_outcome() {
    for (name, run) in TARGETS {
        let report = run(5_000, 1).unwrap_or_else(|violation| panic!("{name}: {violation}"));
        for (outcome, count) in &report.outcomes {
            assert!(*count > 0, "{name}: never {outcome}");
        }
    }
}
