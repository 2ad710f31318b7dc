use actix_rateguard::rate_limit;

#[rate_limit(limit = 0, window = 60)]
async fn zero() -> &'static str {
    "ok"
}

#[rate_limit(limit = 2147483649, window = 60)]
async fn too_high() -> &'static str {
    "ok"
}

#[rate_limit(limit = -1, window = 60)]
async fn negative() -> &'static str {
    "ok"
}

#[rate_limit(limit = "5", window = 60)]
async fn text() -> &'static str {
    "ok"
}

fn main() {}
