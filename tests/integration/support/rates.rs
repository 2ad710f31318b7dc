//! Checks that lists of rates in tests contain every algorithm.

use actix_rateguard::{Algorithm, Quotas};

/// Asserts that, for each algorithm, at least one of the rates uses it. `list` names the list in the message.
#[track_caller]
pub fn assert_has_every_algorithm<'a>(list: &str, rates: impl IntoIterator<Item = &'a str>) {
    let quotas = |rates: &str| rates.parse::<Quotas>().unwrap_or_else(|it| panic!("{rates}: {it}"));
    let lists: Vec<Quotas> = rates.into_iter().map(quotas).collect();
    for (algorithm, name) in Algorithm::NAMES {
        let has = lists.iter().flatten().any(|quota| quota.algorithm() == algorithm);
        assert!(has, "{list} has no rate with `{name}`");
    }
}
