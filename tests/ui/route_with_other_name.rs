//! A route attribute that is imported under another name.

use actix_rateguard::rate_limit;
use actix_web::get as fetch;

#[rate_limit(rate = "5/minute")]
#[fetch("/")]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
