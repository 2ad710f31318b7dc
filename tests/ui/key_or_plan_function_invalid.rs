//! The return values of key functions and plan functions.

use actix_rateguard::rate_limit;
use actix_web::HttpRequest;

fn key_or_text(_: &HttpRequest) -> Result<String, String> {
    Err("no key".to_owned())
}

fn plan_number(_: &HttpRequest) -> u32 {
    5
}

#[rate_limit(rate = "5/minute", key = key_or_text)]
async fn key() -> &'static str {
    "ok"
}

#[rate_limit(plan = plan_number)]
async fn plan() -> &'static str {
    "ok"
}

fn main() {}
