//! How much is admitted is said in one way.

use actix_rateguard::{Quota, rate_limit};

fn quota(_: &actix_web::HttpRequest) -> Quota {
    "5/minute".parse().unwrap()
}

#[rate_limit(rate = "5/minute", policy = "search")]
async fn rate_and_policy() {}

#[rate_limit(policy = "search", on_error = "closed")]
async fn policy_and_on_error() {}

#[rate_limit(policy = "search", name = "search")]
async fn policy_and_name() {}

#[rate_limit(quota = quota, burst = 5)]
async fn quota_and_burst() {}

#[rate_limit(quota = quota, policy = "search")]
async fn quota_and_policy() {}

#[rate_limit(quota = "5/minute")]
async fn quota_as_text() {}

fn main() {}
