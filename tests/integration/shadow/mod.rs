//! Policies in shadow, and candidates beside those that are enforced.

mod counting;
mod harmless;
mod http;
mod replayed;
mod rollout;
mod whole;

use std::time::{Duration, Instant};

use rateguard::{Policy, RateGuard};
use tokio::time::sleep;

use crate::support::PATIENCE;

/// What is counted of this policy, when it has been told of so many requests. Nobody waits for that, so it may be soon.
async fn report(guard: &RateGuard, policy: &str, requests: u64) -> [u64; 3] {
    let until = Instant::now() + PATIENCE;
    loop {
        let report = guard.shadow_report();
        let counts = report.into_iter().find(|it| it.policy == policy);
        let counts = counts.map_or([0; 3], |it| [it.allowed, it.would_deny, it.undecided]);
        if counts.iter().sum::<u64>() >= requests || Instant::now() > until {
            assert_eq!(counts.iter().sum::<u64>(), requests, "{counts:?}");
            return counts;
        }
        sleep(Duration::from_millis(2)).await;
    }
}

fn search() -> Policy {
    Policy::new("search", "10/365d").unwrap()
}
