use actix_rateguard::{Limit, rate_limit};
use actix_web::HttpRequest;

#[rate_limit(rate = "5/minute", skip = |_| "yes")]
async fn skip() -> &'static str {
    "ok"
}

async fn units(_: &HttpRequest) -> Result<u32, String> {
    Ok(1)
}

#[rate_limit(rate = "5/minute", cost = |_| 2.5)]
async fn cost() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", cost = units)]
async fn cost_with_another_error() -> &'static str {
    "ok"
}

fn main() {
    let _ = Limit::new("5/minute").skip(|_: &HttpRequest| 1);
    let _ = Limit::new("5/minute").cost("2");
    let _ = Limit::new("5/minute").cost(|_: &HttpRequest| 2.5);
}
