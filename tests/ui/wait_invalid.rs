use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/second", wait = "61s")]
async fn too_long() -> &'static str {
    ""
}

#[rate_limit(rate = "5/second", wait = "soon")]
async fn no_duration() -> &'static str {
    ""
}

#[rate_limit(rate = "5/second", wait = WAIT)]
async fn constant() -> &'static str {
    ""
}

#[rate_limit(rate = "5/second", wait = true)]
async fn boolean() -> &'static str {
    ""
}

#[rate_limit(rate = "100/second lease 10", wait = "1s")]
async fn with_lease() -> &'static str {
    ""
}

fn main() {}
