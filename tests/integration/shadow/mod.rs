//! Shadow policies, and candidates for the quotas of enforced policies.

mod counting;
mod http;
mod isolation;
mod replay;
mod rollout;
mod shadow_policies;

use std::time::{Duration, Instant};

use actix_rateguard::{Policy, RateGuard};
use tokio::time::sleep;

use crate::support::TEST_TIMEOUT;

/// Waits until the report has this number of requests for the policy, and returns `[allowed, would_deny, undecided]`.
///
/// Checks do not wait for shadow decisions, so the report may lack the last requests for a while.
async fn report(guard: &RateGuard, policy: &str, requests: u64) -> [u64; 3] {
    let timeout = Instant::now() + TEST_TIMEOUT;
    loop {
        let report = guard.shadow_report();
        let counts = report.into_iter().find(|it| it.policy == policy);
        let counts = counts.map_or([0; 3], |it| [it.allowed, it.would_deny, it.undecided]);
        if counts.iter().sum::<u64>() >= requests || Instant::now() > timeout {
            assert_eq!(counts.iter().sum::<u64>(), requests, "{counts:?}");
            return counts;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

fn search() -> Policy {
    Policy::new("search", "10/365d").unwrap()
}
