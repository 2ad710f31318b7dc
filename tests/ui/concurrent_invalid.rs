use actix_rateguard::rate_limit;

#[rate_limit(concurrent = 0)]
async fn none() -> &'static str {
    ""
}

#[rate_limit(concurrent = "5")]
async fn quoted() -> &'static str {
    ""
}

#[rate_limit(concurrent = LIMIT)]
async fn constant() -> &'static str {
    ""
}

#[rate_limit(concurrent = 5, permit_lease = "500ms")]
async fn short_lease() -> &'static str {
    ""
}

#[rate_limit(rate = "5/minute", permit_lease = "10s")]
async fn only_lease() -> &'static str {
    ""
}

#[rate_limit(concurrent = 5, cost = 2)]
async fn with_cost() -> &'static str {
    ""
}

#[rate_limit(concurrent = 5, count = "failure")]
async fn with_count() -> &'static str {
    ""
}

#[rate_limit(concurrent = 5, ban = "3/hour for 1m")]
async fn with_ban() -> &'static str {
    ""
}

#[rate_limit(rate = "5/minute", concurrent = 5, shadow = true)]
async fn in_shadow() -> &'static str {
    ""
}

#[rate_limit(limit = LIMIT, window = 60, concurrent = 5, candidate = "3/minute")]
async fn with_candidate() -> &'static str {
    ""
}

#[rate_limit(policy = "exports", concurrent = 5)]
async fn with_policy() -> &'static str {
    ""
}

const LIMIT: u32 = 5;

fn main() {}
