//! The checker finds each defect of the protocol of leases on a sliding window.

use rateguard_models::leases::{Config, Leases, SlidingWindow, USES_WITHIN_LIMIT, Variant};

use crate::support::refute;

fn exceeds_limit(config: Config) {
    refute(Leases::<SlidingWindow>::new(config), USES_WITHIN_LIMIT);
}

#[test]
fn stamp_at_the_grant_exceeds_limit() {
    exceeds_limit(Config::small(Variant::StampAtGrant));
}

#[test]
fn use_of_a_lease_counted_from_the_reply_exceeds_limit() {
    exceeds_limit(Config::small(Variant::ServesFromReply));
}

#[test]
fn return_with_lower_bounds_of_uses_exceeds_limit() {
    exceeds_limit(Config::small(Variant::BoundFromReply));
}

#[test]
fn return_that_deletes_used_units_exceeds_limit() {
    exceeds_limit(Config::small(Variant::ReturnDeletesUsed));
}

#[test]
fn use_during_a_return_exceeds_limit() {
    exceeds_limit(Config::small(Variant::ServesAfterReturn));
}

#[test]
fn use_of_a_grant_after_its_return_exceeds_limit() {
    exceeds_limit(Config::small(Variant::ServesGrantAfterReturn));
}

#[test]
fn return_found_by_stamp_twice_exceeds_limit() {
    exceeds_limit(Config { executions_of_return: 2, ..Config::small(Variant::ReturnFindsByStamp) });
}

#[test]
fn refund_twice_exceeds_limit() {
    exceeds_limit(Config { refunds: true, ..Config::small(Variant::RefundTwice) });
}

/// A refund that finds its unit by an id would be correct. A server with microseconds rarely has two equal stamps.
#[test]
fn refund_after_a_reset_removes_a_unit_with_the_same_stamp() {
    exceeds_limit(Config { resets: 1, refunds: true, ..Config::small(Variant::Correct) });
}

#[test]
fn reset_of_leased_units_exceeds_limit() {
    exceeds_limit(Config { resets: 1, ..Config::small(Variant::ResetRemovesLeases) });
}

#[test]
fn clock_set_back_that_moves_leased_units_to_now_exceeds_limit() {
    exceeds_limit(Config { steps_back: 1, ..Config::small(Variant::ClampsToNow) });
}

#[test]
fn clock_that_stands_still_exceeds_limit() {
    exceeds_limit(Config { missed_ticks: 1, ..Config::small(Variant::Correct) });
}

#[test]
fn margin_missing_in_the_bound_of_uses_exceeds_limit() {
    exceeds_limit(Config {
        missed_ticks: 1,
        margin: 1,
        ttl: 3,
        ..Config::small(Variant::BoundWithoutMargin)
    });
}
