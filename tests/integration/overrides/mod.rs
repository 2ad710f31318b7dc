//! Tests overrides, which replace the quotas of a policy for one key on all servers.

mod deployments;
mod faults;
mod guard;
mod limits;
mod operator;
mod servers;
mod store;

use std::time::Duration;

use actix_rateguard::{Decision, Key, Policy, RateGuard};

const HOUR: Duration = Duration::from_secs(3_600);

fn policy() -> Policy {
    Policy::new("api", "3/hour").unwrap()
}

/// Checks the key once. Returns whether the check was admitted, and the remaining units of the first quota.
async fn check(guard: &RateGuard, policy: &Policy, key: &Key) -> (bool, u32) {
    numbers(&guard.check(policy, key).await.unwrap())
}

fn numbers(decision: &Decision) -> (bool, u32) {
    (decision.is_allowed(), decision.statuses()[0].remaining())
}
