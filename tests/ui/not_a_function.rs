use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute")]
struct Handler;

fn main() {}
