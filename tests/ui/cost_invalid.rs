use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", cost = 0)]
async fn nothing() {}

#[rate_limit(rate = "5/minute", cost = "2")]
async fn text() {}

#[rate_limit(rate = "100/minute; 5/second", cost = 6)]
async fn above_a_limit() {}

#[rate_limit(rate = "5/minute token_bucket burst 3", cost = 4)]
async fn above_the_burst() {}

fn main() {}
