use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", count = "failures")]
async fn unknown() {}

#[rate_limit(rate = "5/minute", count = 401)]
async fn number() {}

#[rate_limit(rate = "5/minute", count = "status:601")]
async fn no_status() {}

#[rate_limit(rate = "5/minute", count = "status:401,!4xx")]
async fn nothing() {}

#[rate_limit(rate = "5/minute", count = |response: &HttpResponse| response.status() == 401)]
async fn closure() {}

fn main() {}
