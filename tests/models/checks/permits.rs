//! The protocol of permits has its properties.

use rateguard_models::permits::{Config, Permits, RENEWED_IS_VALID, Variant};

use crate::support::{refute, verify};

fn two_permits() -> Config {
    Config { permits: 2, limit: 1, ..Config::small(Variant::Correct) }
}

#[test]
fn permits_with_losses_delays_and_crashes_stay_within_limit() {
    verify(Permits(Config::small(Variant::Correct)));
}

#[test]
fn permits_with_long_leases_and_deadlines_stay_within_limit() {
    verify(Permits(Config { lease: 6, deadline: 3, ..two_permits() }));
}

#[test]
fn permits_with_slow_clocks_within_the_margin_stay_within_limit() {
    verify(Permits(Config { lease: 4, deadline: 2, missed_ticks: 1, margin: 1, ..two_permits() }));
}

#[test]
fn permits_revoked_by_an_operator_stay_within_limit() {
    verify(Permits(Config { operator: true, ..two_permits() }));
}

#[test]
fn permits_renewed_in_time_stay_valid() {
    verify(Permits(Config { reliable: true, ..Config::small(Variant::Correct) }));
}

#[test]
fn permit_renewed_less_than_a_round_trip_before_its_end_becomes_invalid() {
    let config = Config { reliable: true, renew_after: 2, ..Config::small(Variant::Correct) };
    refute(Permits(config), RENEWED_IS_VALID);
}
