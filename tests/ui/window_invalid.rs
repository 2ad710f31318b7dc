use actix_rateguard::rate_limit;

#[rate_limit(limit = 5, window = 0)]
async fn zero() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = "366d")]
async fn too_long() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = "1 fortnight")]
async fn unknown_unit() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = 1.5)]
async fn fraction() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5, window = 1h)]
async fn without_quotes() -> &'static str {
    "ok"
}

#[rate_limit(limit = 5k, window = 60)]
async fn thousands() -> &'static str {
    "ok"
}

fn main() {}
