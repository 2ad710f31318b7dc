//! Arguments that conflict with `plan` or `policy`.

use actix_rateguard::{Quota, rate_limit};

fn plan_of(_: &actix_web::HttpRequest) -> Quota {
    "5/minute".parse().unwrap()
}

#[rate_limit(rate = "5/minute", policy = "search")]
async fn rate_and_policy() {}

#[rate_limit(policy = "search", on_error = "closed")]
async fn policy_and_on_error() {}

#[rate_limit(policy = "search", name = "search")]
async fn policy_and_name() {}

#[rate_limit(plan = plan_of, burst = 5)]
async fn plan_and_burst() {}

#[rate_limit(plan = plan_of, policy = "search")]
async fn plan_and_policy() {}

#[rate_limit(plan = "5/minute")]
async fn plan_as_text() {}

#[rate_limit(rate = "5/minute", plan_fallback = "3/minute")]
async fn plan_fallback_without_a_plan() {}

#[rate_limit(policy = "search", plan_fallback = "3/minute")]
async fn policy_and_plan_fallback() {}

#[rate_limit(plan = plan_of, plan_fallback = "unlimited")]
async fn plan_fallback_without_quotas() {}

fn main() {}
