//! How one quota stands after a decision.

use std::{cmp::Ordering, time::Duration};

use crate::{Quota, level::Level, policy::PolicyName, store::Charge};

/// How one quota stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    policy: PolicyName,
    /// The quota's place in its policy, of which there are few.
    place: u32,
    quota: Quota,
    cost: u32,
    remaining: u32,
    reset_after: Duration,
    retry_after: Option<Duration>,
}

impl Standing {
    pub(crate) fn new(policy: PolicyName, charge: &Charge<'_>, level: Level) -> Self {
        let Level { remaining, reset_after, retry_after } = level;
        let Charge { bucket, quota, cost, .. } = *charge;
        let place = bucket.place() as u32;
        Self { policy, place, quota, cost, remaining, reset_after, retry_after }
    }

    /// What clients are told as its name: that of the policy, with a number for its further quotas.
    pub(crate) fn public_name(&self) -> String {
        match self.place {
            0 => self.policy.public().to_owned(),
            place => format!("{}{{{}}}", self.policy.public(), place + 1),
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn name(&self) -> &PolicyName {
        &self.policy
    }

    /// The name of the policy.
    #[must_use]
    pub fn policy(&self) -> &str {
        self.policy.as_str()
    }

    /// The quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// How many units were asked for, or given back or charged since.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// How many units are admitted at once at the most: the quota's limit, or the burst of a token bucket.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.quota.capacity()
    }

    /// How many more units it would admit at this moment.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    /// How long it takes until it admits one more than that, if nobody takes any; zero if all of it is there.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.reset_after
    }

    /// How long it takes until it has room for such a request, after what this one took; zero if it has already. `None`
    /// if it never has: the request costs more than the limit.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Orders the tighter before the looser.
    pub(crate) fn tightness(&self, other: &Self) -> Ordering {
        // The one that has no room for longest, then the one that has room for the fewest, then the one that comes back
        // latest.
        let wait = |standing: &Self| standing.retry_after.unwrap_or(Duration::MAX);
        let more = |standing: &Self| standing.remaining / standing.cost.max(1);
        wait(other)
            .cmp(&wait(self))
            .then(more(self).cmp(&more(other)))
            .then(other.reset_after.cmp(&self.reset_after))
    }
}
