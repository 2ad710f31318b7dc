//! `headers` and `permissive` with wrong values.

use actix_rateguard::rate_limit;

#[rate_limit(rate = "10/minute", headers = "none")]
async fn headers_with_a_text() {}

#[rate_limit(rate = "10/minute", permissive = 1)]
async fn permissive_with_a_number() {}

fn main() {}
