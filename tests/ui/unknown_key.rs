use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", key = "ipp")]
async fn misspelt() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = 5)]
async fn number() -> &'static str {
    "ok"
}

fn main() {}
