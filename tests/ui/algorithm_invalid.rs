use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", algorithm = "adaptive")]
async fn unknown() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", algorithm = token_bucket)]
async fn without_quotes() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", burst = 20)]
async fn burst_of_a_window() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute", algorithm = "token_bucket", burst = 0)]
async fn no_burst() -> &'static str {
    "ok"
}

#[rate_limit(limit = 2147483647, window = "365d", algorithm = "token_bucket")]
async fn beyond_precision() -> &'static str {
    "ok"
}

#[rate_limit(rate = "5/minute fixed_window", algorithm = "token_bucket")]
async fn two_algorithms() -> &'static str {
    "ok"
}

fn main() {}
