//! The protocol of leases on a token bucket has its property, and the checker finds each of its defects.

use rateguard_models::leases::{Action, Config, Leases, TokenBucket, USES_WITHIN_LIMIT, Variant};

use crate::support::{refute, run, verify};

fn model(config: Config) -> Leases<TokenBucket> {
    Leases::new(config)
}

fn small() -> Config {
    Config::small(Variant::Correct)
}

fn exceeds_limit(config: Config) {
    refute(model(config), USES_WITHIN_LIMIT);
}

#[test]
fn bucket_with_losses_delays_and_crashes_stays_within_limit() {
    verify(model(small()));
}

#[test]
fn bucket_of_three_leases_stays_within_limit() {
    verify(model(Config { leases: 3, limit: 3, ttl: 3, ..small() }));
}

#[test]
fn bucket_with_repeated_returns_stays_within_limit() {
    verify(model(Config { executions_of_return: 2, ..small() }));
}

#[test]
fn bucket_after_a_reset_stays_within_limit() {
    verify(model(Config { resets: 1, executions_of_return: 2, ..small() }));
}

#[test]
fn bucket_with_slow_clocks_within_the_margin_stays_within_limit() {
    verify(model(Config { missed_ticks: 1, margin: 1, ttl: 3, ..small() }));
}

#[test]
fn returned_tokens_are_free_at_once() {
    use Action::{ExecuteReturn, Grant, Receive, Request, Return, Serve, Take};
    run(
        &model(small()),
        &[Request(0), Grant(1, 2), Receive(1), Serve(1), Return(1), ExecuteReturn(1), Take],
    );
}

#[test]
fn refill_up_to_the_capacity_during_a_lease_exceeds_limit() {
    exceeds_limit(Config::small(Variant::StampAtGrant));
}

#[test]
fn use_of_a_lease_counted_from_the_reply_exceeds_limit() {
    exceeds_limit(Config::small(Variant::ServesFromReply));
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
fn refund_by_a_late_return_exceeds_limit() {
    exceeds_limit(Config::small(Variant::LateReturnRefunds));
}

#[test]
fn reset_of_leased_tokens_exceeds_limit() {
    exceeds_limit(Config { resets: 1, ..Config::small(Variant::ResetRemovesLeases) });
}

#[test]
fn clock_that_stands_still_exceeds_limit() {
    exceeds_limit(Config { missed_ticks: 2, ..small() });
}
