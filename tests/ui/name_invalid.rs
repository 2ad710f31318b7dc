use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", name = "log in")]
async fn spaced() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", name = "shared")]
#[rate_limit(rate = "9/hour", name = "shared")]
async fn shared() -> &'static str {
    "ok"
}

fn main() {}
