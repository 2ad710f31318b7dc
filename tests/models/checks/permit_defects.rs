//! The checker finds each defect of the protocol of permits.

use rateguard_models::permits::{
    Config, ENTRIES_WITHIN_LIMIT, GHOSTS_EXPIRE, Permits, VALID_IS_COUNTED, VALID_WITHIN_LIMIT,
    Variant,
};

use crate::support::refute;

fn permits(variant: Variant) -> Permits {
    Permits(Config::small(variant))
}

#[test]
fn renewal_that_revives_expired_permits_exceeds_limit() {
    refute(permits(Variant::RenewalRevivesExpired), ENTRIES_WITHIN_LIMIT);
}

#[test]
fn renewal_that_inserts_missing_entries_exceeds_limit() {
    refute(permits(Variant::RenewalInsertsMissing), ENTRIES_WITHIN_LIMIT);
}

#[test]
fn release_twice_of_a_counter_exceeds_limit() {
    refute(permits(Variant::ReleaseDecrementsCounter), VALID_WITHIN_LIMIT);
}

#[test]
fn lease_counted_from_the_reply_exceeds_limit() {
    refute(permits(Variant::LeaseCountsFromReply), VALID_WITHIN_LIMIT);
}

#[test]
fn request_without_deadline_outlives_its_crashed_process() {
    refute(permits(Variant::NoDeadline), GHOSTS_EXPIRE);
}

#[test]
fn removal_by_an_operator_exceeds_limit() {
    refute(permits(Variant::OperatorRemoves), VALID_WITHIN_LIMIT);
}

#[test]
fn clock_that_stands_still_exceeds_limit() {
    let config =
        Config { permits: 2, limit: 1, missed_ticks: 1, ..Config::small(Variant::Correct) };
    refute(Permits(config.clone()), VALID_IS_COUNTED);
    refute(Permits(config), VALID_WITHIN_LIMIT);
}

#[test]
fn clock_that_stands_still_for_longer_than_the_margin_exceeds_limit() {
    let config = Config {
        permits: 2,
        limit: 1,
        missed_ticks: 2,
        margin: 1,
        ..Config::small(Variant::Correct)
    };
    refute(Permits(config), VALID_WITHIN_LIMIT);
}
