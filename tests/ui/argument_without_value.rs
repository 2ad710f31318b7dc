use actix_rateguard::rate_limit;

#[rate_limit(limit, window = 60)]
async fn handler() -> &'static str {
    "ok"
}

#[rate_limit(rate: "5/minute")]
async fn colon() -> &'static str {
    "ok"
}

#[rate_limit(rate("5/minute"))]
async fn parentheses() -> &'static str {
    "ok"
}

#[rate_limit(rate == "5/minute")]
async fn comparison() -> &'static str {
    "ok"
}

#[rate_limit(rate)]
async fn end() -> &'static str {
    "ok"
}

fn main() {}
