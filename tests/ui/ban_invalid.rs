//! `ban` says how many denials lead to it and how long it is.

use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", ban = "often for long")]
async fn not_a_rate() {}

#[rate_limit(rate = "5/minute", ban = "10/hour")]
async fn without_a_length() {}

#[rate_limit(rate = "5/minute", ban = "10/hour for 1y")]
async fn not_a_time() {}

#[rate_limit(rate = "5/minute", ban = 10)]
async fn not_text() {}

fn main() {}
