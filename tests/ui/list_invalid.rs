use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/second; 100/minut; 1000/day")]
async fn unit() {}

#[rate_limit(rate = "5/second; 0/minute")]
async fn zero() {}

#[rate_limit(rate = "5/second;")]
async fn end() {}

#[rate_limit(rate = "5/minute; 5/60s")]
async fn twice() {}

#[rate_limit(rate = "5/second; 100/minute", algorithm = "token_bucket", burst = 20)]
async fn burst() {}

fn main() {}
