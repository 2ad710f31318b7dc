use actix_rateguard::rate_limit;

#[rate_limit(limit = 5, windows = 60)]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
