//! Constant expressions with values that are out of range, or that have another type.

use std::time::Duration;

use actix_rateguard::rate_limit;

const NONE: u32 = 0;
const NO_SECONDS: u64 = 0;
const NO_TIME: Duration = Duration::ZERO;
const TEXT: &str = "1m";
const SIGNED: i32 = 60;

#[rate_limit(limit = NONE, window = 60)]
async fn limit() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = NO_SECONDS)]
async fn window() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = NO_TIME)]
async fn duration() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = TEXT)]
async fn text() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = SIGNED)]
async fn signed() -> &'static str {
    "ok"
}

#[rate_limit(limit = 2 + 3, window = 60, cost = 6)]
async fn cost() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = 60, burst = 2 * 3)]
async fn burst() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute token_bucket", burst = 2 * 3)]
async fn burst_of_rate() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", limit = NONE)]
async fn both() -> &'static str {
    "ok"
}

fn main() {}
