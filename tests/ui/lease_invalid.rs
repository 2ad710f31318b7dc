use actix_rateguard::rate_limit;

#[rate_limit(rate = "100/minute", lease = 1)]
async fn one_unit() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease = "60%")]
async fn too_large() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease = LEASE)]
async fn constant() -> &'static str {
    ""
}

#[rate_limit(limit = LIMIT, window = 60, lease = 10)]
async fn constant_limit() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease = 10, lease_for = "30s")]
async fn too_long() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease_for = "1s")]
async fn only_duration() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute; 5/second", lease = 10)]
async fn several_quotas() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", algorithm = "fixed_window", lease = 10)]
async fn other_algorithm() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", algorithm = "token_bucket", burst = 18, lease = 10)]
async fn more_than_half_of_the_burst() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease = 10, ban = "3/hour for 1m")]
async fn with_ban() -> &'static str {
    ""
}

#[rate_limit(rate = "100/minute", lease = 10, shadow = true)]
async fn with_shadow() -> &'static str {
    ""
}

fn main() {}
