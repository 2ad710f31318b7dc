use actix_rateguard::rate_limit;

#[rate_limit(limit, window = 60)]
async fn handler() -> &'static str {
    "ok"
}

fn main() {}
