//! Counts the decisions of policies in shadow mode and of candidate quotas: the requests that they would have
//! admitted, and the requests that they would have denied.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::guard::ThrottledLog;

/// The maximum number of policies with separate counts. A program usually has fewer policies. If a program derives
/// policy names from requests, this maximum bounds the memory.
const MAX_POLICIES: usize = 1_024;

/// The name under which all policies after the first 1,024 are counted together. No policy can have this name,
/// because it contains braces.
const OTHERS: &str = "{others}";

/// The numbers of decisions of a policy in [shadow mode](crate::Policy::shadow), or of the
/// [candidate](crate::Policy::candidate) of a policy. The counts start when the guard is built, and only include
/// requests to this process.
///
/// If a candidate is [enforced](crate::Policy::rollout) for a key, the decisions for this key are not counted here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowCounts {
    /// The name of the policy, or `{others}` for all policies after the first 1,024.
    pub policy: String,
    /// The number of requests that the policy or candidate would have admitted.
    pub allowed: u64,
    /// The number of requests that the policy or candidate would have denied.
    pub would_deny: u64,
    /// The number of requests for which there is no decision, because the store failed.
    pub undecided: u64,
}

#[derive(Default)]
pub(super) struct Report {
    counts: RwLock<HashMap<String, Arc<Counts>>>,
}

/// The counts of one policy.
pub(super) struct Counts {
    pub(super) allowed: AtomicU64,
    pub(super) would_deny: AtomicU64,
    pub(super) undecided: AtomicU64,
    /// The number of decisions at the time of the last log message.
    pub(super) decided_at_last_log: AtomicU64,
    pub(super) denial_log: ThrottledLog,
}

impl Counts {
    const fn new() -> Self {
        Self {
            allowed: AtomicU64::new(0),
            would_deny: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
            decided_at_last_log: AtomicU64::new(0),
            denial_log: ThrottledLog::new(),
        }
    }
}

impl Report {
    /// Returns the counts of all policies, sorted by the policy names.
    pub(super) fn snapshot(&self) -> Vec<ShadowCounts> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let snapshot = |(policy, counts): (&String, &Arc<Counts>)| ShadowCounts {
            policy: policy.clone(),
            allowed: counts.allowed.load(Relaxed),
            would_deny: counts.would_deny.load(Relaxed),
            undecided: counts.undecided.load(Relaxed),
        };
        let mut report: Vec<_> = counts.iter().map(snapshot).collect();
        report.sort_unstable_by(|one, other| one.policy.cmp(&other.policy));
        report
    }

    pub(super) fn counts_of(&self, policy: &str) -> Arc<Counts> {
        // No code panics while the lock is held, so the lock is never poisoned.
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = counts.get(policy) {
            return Arc::clone(counts);
        }
        drop(counts);
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        let has_own_counts = counts.contains_key(policy) || counts.len() < MAX_POLICIES;
        let name = if has_own_counts { policy } else { OTHERS };
        let counts = counts.entry(name.to_owned()).or_insert_with(|| Arc::new(Counts::new()));
        Arc::clone(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_above_the_maximum_share_one_count() {
        let report = Report::default();
        for number in 0..2 * MAX_POLICIES {
            report.counts_of(&number.to_string()).allowed.fetch_add(1, Relaxed);
        }
        assert_eq!(report.counts.read().unwrap().len(), MAX_POLICIES + 1);
        assert_eq!(report.counts_of("7").allowed.load(Relaxed), 1);
        assert_eq!(report.counts_of("2000").allowed.load(Relaxed), MAX_POLICIES as u64);
    }
}
