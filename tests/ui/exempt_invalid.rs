//! `exempt` and `replaces` with wrong values or at a wrong place.

use actix_rateguard::rate_limit;

#[rate_limit(exempt = true)]
async fn exempt_with_a_boolean() {}

#[rate_limit(exempt = "a b")]
async fn exempt_from_an_invalid_name() {}

#[rate_limit(exempt, rate = "5/minute")]
async fn exempt_with_a_limit() {}

#[rate_limit(rate = "5/minute", exempt)]
async fn exempt_after_a_limit() {}

#[rate_limit(replaces = "app")]
async fn replaces_without_a_limit() {}

#[rate_limit(rate = "5/minute", replaces = app)]
async fn replaces_without_quotes() {}

fn main() {}
