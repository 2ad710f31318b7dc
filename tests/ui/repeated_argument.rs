use actix_rateguard::rate_limit;

#[rate_limit(limit = 5, window = 60, limit = 6)]
async fn handler() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", rate = "50/hour")]
async fn rates() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "user", key = "ip")]
async fn keys() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", name = "a", name = "b")]
async fn names() -> &'static str {
    "ok"
}

fn main() {}
