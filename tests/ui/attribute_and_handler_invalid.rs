use actix_rateguard::rate_limit;

#[rate_limit(limit = 0, window = 60)]
fn handler() -> &'static str {
    "ok"
}

fn main() {}
