//! `shadow`, `candidate` and `rollout` with wrong values, and combinations that conflict.

use actix_rateguard::rate_limit;

#[rate_limit(rate = "10/minute", candidate = "3/minut")]
async fn candidate_not_a_rate() {}

#[rate_limit(rate = "10/minute", candidate = true)]
async fn candidate_not_a_text() {}

#[rate_limit(rate = "10/minute", shadow = "3/minute")]
async fn shadow_with_a_rate() {}

#[rate_limit(rate = "10/minute", shadow = 3)]
async fn shadow_with_a_number() {}

#[rate_limit(rate = "10/minute", shadow = true, candidate = "3/minute")]
async fn shadow_and_candidate() {}

#[rate_limit(rate = "10/minute", candidate = "3/minute", rollout = 101)]
async fn rollout_above_100() {}

#[rate_limit(rate = "10/minute", candidate = "3/minute", rollout = "10 %")]
async fn rollout_not_a_number() {}

#[rate_limit(rate = "10/minute", shadow = true, rollout = 10)]
async fn rollout_of_the_whole_limit() {}

#[rate_limit(rate = "10/minute", rollout = 10)]
async fn rollout_without_a_candidate() {}

#[rate_limit(policy = "search", candidate = "3/minute")]
async fn candidate_of_a_named_policy() {}

#[rate_limit(rate = "10/minute", candidate = "3/minute", cost = 4)]
async fn cost_above_the_candidate() {}

fn main() {}
