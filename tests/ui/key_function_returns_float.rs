//! The return value of a key function.

use actix_rateguard::rate_limit;

fn a_float(_: &actix_web::HttpRequest) -> f32 {
    0.5
}

#[rate_limit(rate = "5/minute", key = a_float)]
async fn key() -> &'static str {
    "ok"
}

fn main() {}
