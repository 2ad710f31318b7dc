use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", key = "ipp")]
async fn misspelt() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = 5)]
async fn number() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "user" + "ip")]
async fn two_strings() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = ["user", "ip"])]
async fn list() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "user, ip")]
async fn comma() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = "X-Api-Key")]
async fn header() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", key = tenant())]
async fn call() -> &'static str {
    "ok"
}

fn main() {}
