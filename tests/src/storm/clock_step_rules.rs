//! Finds denials that a backward clock step explains. After such a step, an entry of a bucket may have a time in
//! the future. At the first access to the bucket after the step, the store replaces this time by the time of the
//! access. From then on, the entry counts for at most one window.

use std::collections::BTreeMap;

use actix_rateguard::Quota;

use super::{
    evidence::StoreEvents,
    history::{Bucket, StoreCall},
    limits::quota,
};
use crate::algorithms::{aligns_windows_to_clock, refills_steadily};

/// The time of the first access to each bucket after each backward clock step.
#[derive(Debug)]
pub struct ClockStepRules<'a> {
    events: &'a StoreEvents,
    /// For each bucket and each backward step: the time of the step, and the time of the first access after it.
    first_accesses: BTreeMap<Bucket, Vec<(u64, u64)>>,
}

impl<'a> ClockStepRules<'a> {
    /// Collects the first accesses from the calls that all servers recorded.
    #[must_use]
    pub fn of(servers: &[Vec<StoreCall>], events: &'a StoreEvents) -> Self {
        let mut first_accesses: BTreeMap<Bucket, Vec<(u64, u64)>> = BTreeMap::new();
        for set_back in events.set_back() {
            let mut firsts: BTreeMap<Bucket, u64> = BTreeMap::new();
            for call in servers.iter().flatten() {
                let Some(reply) = call.reply.filter(|reply| reply.at >= set_back) else { continue };
                for part in &call.parts {
                    let first = firsts.entry(part.bucket).or_insert(reply.at);
                    *first = reply.at.min(*first);
                }
            }
            for (bucket, first) in firsts {
                first_accesses.entry(bucket).or_default().push((set_back, first));
            }
        }
        Self { events, first_accesses }
    }

    /// For each backward clock step, returns the time of the first access to this bucket after the step. Between
    /// the step and this first access, a token bucket gets no new tokens.
    pub fn first_accesses(&self, bucket: Bucket) -> impl Iterator<Item = u64> {
        self.first_accesses.get(&bucket).into_iter().flatten().map(|(_, first)| *first)
    }

    /// Returns whether a clock step explains a denial at the time `at`.
    #[must_use]
    pub fn explains_denial(&self, bucket: Bucket, at: u64) -> bool {
        let Some(quota) = quota(bucket.policy, bucket.quota_index) else { return false };
        if refills_steadily(quota.algorithm()) {
            // For token buckets, the upper bound of the usage already includes the effect of clock steps.
            return false;
        }
        // The units of a lease count from its end, and a clock step leaves them at most one lease in the future.
        let lease = quota.lease().map_or(0, |lease| lease.duration().as_micros() as u64);
        let window = quota.window().as_micros() as u64 + lease;
        let accesses = self.first_accesses.get(&bucket).into_iter().flatten();
        uses_stepped_clock(quota, self.events)
            || accesses
                .into_iter()
                .any(|(set_back, first)| (*set_back..first + window).contains(&at))
    }

    /// Returns whether a backward clock step can make units count again at the time `at`, because they had expired but
    /// were not yet removed. The next access to the bucket corrects their times.
    #[must_use]
    pub fn may_revive_units(&self, bucket: Bucket, at: u64) -> bool {
        let accesses = self.first_accesses.get(&bucket).map_or(&[][..], Vec::as_slice);
        let has_access = |set_back: u64| accesses.iter().any(|(of, _)| *of == set_back);
        let mut before = self.events.set_back().into_iter().filter(|set_back| *set_back <= at);
        before.any(|set_back| !has_access(set_back)) || self.explains_denial(bucket, at)
    }
}

/// Returns whether the times of the quota's windows are unknown. They are unknown if the windows depend on the
/// store's clock and a clock step has changed this clock.
#[must_use]
pub fn uses_stepped_clock(quota: Quota, events: &StoreEvents) -> bool {
    aligns_windows_to_clock(quota.algorithm()) && !events.settings.is_empty()
}
