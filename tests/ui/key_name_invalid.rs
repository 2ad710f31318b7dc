use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", key = "header:X Api Key")]
async fn header() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "cookie:")]
async fn cookie() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "path:{tenant}")]
async fn path() -> &'static str {
    "ok"
}

fn main() {}
