use actix_rateguard::rate_limit;

#[rate_limit]
async fn without_arguments() -> &'static str {
    "ok"
}

#[rate_limit(key = "ip")]
async fn with_a_key_only() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5)]
async fn without_a_window() -> &'static str {
    "ok"
}

#[rate_limit(window = 60)]
async fn without_a_limit() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", limit = 5)]
async fn twice() -> &'static str {
    "ok"
}

fn main() {}
