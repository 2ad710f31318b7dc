use actix_rateguard::rate_limit;

#[rate_limit(limit = 5, window = 60, limit = 6)]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
