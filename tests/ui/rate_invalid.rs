use actix_rateguard::rate_limit;

#[rate_limit(rate = "5")]
async fn without_a_window() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minut")]
async fn misspelt() -> &'static str {
    "ok"
}

#[rate_limit(rate = "0/minute")]
async fn zero() -> &'static str {
    "ok"
}

#[rate_limit(rate = 5)]
async fn number() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/second, 100/minute")]
async fn comma() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute tokenbucket burst 20")]
async fn algorithm() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute burst 20")]
async fn burst() -> &'static str {
    "ok"
}

fn main() {}
