//! The last denial behind a queue. While the queue does not get shorter, the guard repeats this denial without a store
//! call, so that a flood of requests for a busy key does not reach the store.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Decision, Policy, telemetry::mode::DecisionMode};

/// A denial of a request that had too many requests ahead in its queue.
pub(super) struct QueueDenial {
    decision: Decision,
    policy: Policy,
    cost: u32,
    /// The units for which the requests in the queue waited.
    units: u64,
    received_at: Instant,
    expires_at: Instant,
}

impl QueueDenial {
    /// Creates an entry for a denial of a request with one limit. It expires after `max_ttl` at the latest. The result is
    /// `None` if the denial must not be repeated.
    pub(super) fn new(
        decision: &Decision,
        policy: &Policy,
        cost: u32,
        units: u64,
        max_ttl: Duration,
    ) -> Option<Self> {
        let lacks_permit = decision.is_denied_by_concurrency();
        let is_repeated = decision.mode() == DecisionMode::DenialCache;
        if decision.banned_for().is_some() || decision.is_local() || is_repeated || lacks_permit {
            return None;
        }
        // The numbers are valid until the shortest duration in them has passed.
        let changes = decision.statuses().iter();
        let changes = changes.flat_map(|it| [Some(it.reset_after()), it.retry_after()]).flatten();
        let ttl = changes.filter(|change| !change.is_zero()).fold(max_ttl, Duration::min);
        let received_at = Instant::now();
        let expires_at = received_at + ttl;
        (!ttl.is_zero()).then(|| {
            let (decision, policy) = (decision.clone(), policy.clone());
            Self { decision, policy, cost, units, received_at, expires_at }
        })
    }

    /// Returns the denial for a request of this policy and cost, if requests for `units` units are ahead of it. All
    /// durations in the denial are shorter by the time since the denial.
    pub(super) fn repeat(&self, policy: &Policy, cost: u32, units: u64) -> Option<Decision> {
        let now = Instant::now();
        // If a request has left the queue, the turn may be earlier.
        let is_valid = now < self.expires_at && units >= self.units;
        (is_valid && cost == self.cost && *policy == self.policy)
            .then(|| self.decision.clone().repeated_after(now - self.received_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, RateGuard};

    const TTL: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn denial_is_repeated_for_the_same_request_until_the_queue_gets_shorter() {
        let (guard, policy) = (RateGuard::in_memory(), Policy::new("jobs", "1/hour").unwrap());
        guard.check(&policy, &Key::global()).await.unwrap();
        let denial = guard.check(&policy, &Key::global()).await.unwrap();
        let cached = QueueDenial::new(&denial, &policy, 1, 5, TTL).unwrap();
        tokio::time::advance(TTL / 2).await;
        let repeated = cached.repeat(&policy, 1, 5).unwrap();
        assert!(!repeated.is_allowed());
        assert_eq!(repeated.retry_after(), denial.retry_after().map(|wait| wait - TTL / 2));
        assert_eq!(cached.repeat(&policy, 1, 6).as_ref(), Some(&repeated));
        assert_eq!(cached.repeat(&policy, 1, 4), None, "a request has left the queue");
        assert_eq!(cached.repeat(&policy, 2, 5), None);
        let other = Policy::new("jobs", "2/hour").unwrap();
        assert_eq!(cached.repeat(&other, 1, 5), None);
        tokio::time::advance(TTL / 2).await;
        assert_eq!(cached.repeat(&policy, 1, 5), None);
        assert!(QueueDenial::new(&denial, &policy, 1, 5, Duration::ZERO).is_none());
    }
}
