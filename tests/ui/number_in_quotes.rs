//! Numbers that are written as strings.

use actix_rateguard::rate_limit;

#[rate_limit(limit = "5", window = 60)]
async fn limit() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = "60")]
async fn window() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", cost = "5")]
async fn cost() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute token_bucket", burst = "10")]
async fn burst() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", candidate = "3/minute", rollout = "10")]
async fn rollout() -> &'static str {
    "ok"
}

fn main() {}
