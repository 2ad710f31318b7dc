//! Tests that every algorithm is in the lists of rates that other tests use, and in the documents.

use actix_rateguard::Algorithm;
use rateguard_tests::{fuzz::QUOTA_EXAMPLES, history, storm::limits};

use crate::support::rates::assert_has_every_algorithm;

#[test]
fn lists_of_rates_have_every_algorithm() {
    assert_has_every_algorithm(
        "`LIMITS` in tests/src/history.rs",
        history::LIMITS.map(|(_, rates)| rates),
    );
    assert_has_every_algorithm(
        "`QUOTAS` in tests/src/fuzz/grammar.rs",
        QUOTA_EXAMPLES.iter().copied(),
    );
    // A storm sends requests only to pages. Therefore only a policy that belongs to a page is tested.
    let is_requested = |name| limits::PAGES.iter().any(|page| page.policies.contains(name));
    let requested = limits::LIMITS.iter().filter(|(name, _)| is_requested(name));
    assert_has_every_algorithm(
        "`LIMITS` in tests/src/storm/limits.rs, with a page,",
        requested.map(|(_, rates)| *rates),
    );
}

#[test]
fn documents_name_every_algorithm() {
    let page = include_str!("../../../docs/algorithms.md");
    let attribute = include_str!("../../../rateguard-macros/src/lib.rs");
    let changelog = include_str!("../../../CHANGELOG.md");
    for (_, name) in Algorithm::NAMES {
        // The page lists each algorithm in two tables: the table of algorithms and the table of memory use.
        let rows = page.lines().filter(|line| line.starts_with(&format!("| `{name}`"))).count();
        assert_eq!(rows, 2, "rows of docs/algorithms.md for `{name}`");
        assert!(attribute.contains(&format!("\"{name}\"")), "rateguard-macros/src/lib.rs: {name}");
        assert!(changelog.contains(&format!("`{name}`")), "CHANGELOG.md: {name}");
    }
}
