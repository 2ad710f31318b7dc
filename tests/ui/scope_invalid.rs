//! Wrong values of the arguments that select the requests of a limit.

use actix_rateguard::rate_limit;

#[rate_limit(rate = "5/minute", missing_key = "allow")]
async fn missing() {}

#[rate_limit(rate = "5/minute", methods = "post")]
async fn methods() {}

#[rate_limit(rate = "5/minute", skip = true)]
async fn skip() {}

#[rate_limit(rate = "5/minute", on_reject = "go away")]
async fn on_reject() {}

#[rate_limit(rate = "5/minute", key = "user+user")]
async fn twice() {}

#[rate_limit(rate = "5/minute", key = "user+global")]
async fn everybody() {}

#[rate_limit(rate = "5/minute", key = "ip/24")]
async fn network() {}

fn main() {}
