use actix_rateguard::rate_limit;

#[rate_limit("5/minute")]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
