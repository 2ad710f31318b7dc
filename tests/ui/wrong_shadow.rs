//! `shadow` is the whole limit, or a rate beside it; `rollout` is of that rate.

use actix_rateguard::rate_limit;

#[rate_limit(rate = "10/minute", shadow = "3/minut")]
async fn not_a_rate() {}

#[rate_limit(rate = "10/minute", shadow = 3)]
async fn a_number() {}

#[rate_limit(rate = "10/minute", shadow = "3/minute", rollout = 101)]
async fn more_than_all() {}

#[rate_limit(rate = "10/minute", shadow = "3/minute", rollout = "10 %")]
async fn not_a_number() {}

#[rate_limit(rate = "10/minute", shadow = true, rollout = 10)]
async fn of_the_whole() {}

#[rate_limit(rate = "10/minute", rollout = 10)]
async fn of_nothing() {}

#[rate_limit(policy = "search", shadow = "3/minute")]
async fn beside_a_policy() {}

#[rate_limit(rate = "10/minute", shadow = "3/minute", cost = 4)]
async fn never_admitted() {}

fn main() {}
