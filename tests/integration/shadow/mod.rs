//! Tests shadow policies, which count requests but deny none, and candidates, which are new quotas that an enforced
//! policy tests in shadow mode.

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

/// Waits until the shadow report has this number of requests for the policy. Returns `[allowed, would_deny,
/// undecided]`.
///
/// A check does not wait for its shadow decision. Therefore the last requests may be missing in the report for a
/// moment.
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
