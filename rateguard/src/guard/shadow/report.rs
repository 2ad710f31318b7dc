//! How often policies that are tried have admitted, and how often they would have denied.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{RateGuard, guard::Line};

/// So many policies are counted each by itself. A program has fewer, unless it makes names of requests.
const MOST: usize = 1_024;

/// Stands for all further ones. No policy has this name.
const OTHERS: &str = "{others}";

/// What a policy in [shadow](crate::Policy::shadow), or the [candidate](crate::Policy::candidate) of one, has decided in this
/// process since the guard was made.
///
/// Decisions for keys for which a candidate is [enforced](crate::Policy::rollout) are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShadowCounts {
    /// The name of the policy; `{others}` stands for all after the first 1,024.
    pub policy: String,
    /// Requests that would have been admitted.
    pub allowed: u64,
    /// Requests that would have been denied.
    pub would_deny: u64,
    /// Requests on which nothing was decided, as the store did not answer.
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
    /// Those that were decided when the log was last told.
    pub(super) decided_when_said: AtomicU64,
    pub(super) line: Line,
}

impl Counts {
    const fn new() -> Self {
        Self {
            allowed: AtomicU64::new(0),
            would_deny: AtomicU64::new(0),
            undecided: AtomicU64::new(0),
            decided_when_said: AtomicU64::new(0),
            line: Line::new(),
        }
    }
}

impl Report {
    pub(super) fn of(&self, policy: &str) -> Arc<Counts> {
        // Nothing panics while it is locked.
        let known = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(policy) {
            return Arc::clone(counts);
        }
        drop(known);
        let mut known = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        let is_known = known.contains_key(policy);
        let name = if is_known || known.len() < MOST { policy } else { OTHERS };
        let counts = known.entry(name.to_owned()).or_insert_with(|| Arc::new(Counts::new()));
        Arc::clone(counts)
    }
}

impl RateGuard {
    /// What policies that are tried would have done, by their names: those in [shadow](crate::Policy::shadow), and
    /// [candidates](crate::Policy::candidate). It counts in this process, since the guard was made. A policy is there once it
    /// has seen a request.
    ///
    /// The log has a line for each such policy when it would have denied, at most every 10 seconds.
    #[must_use]
    pub fn shadow_report(&self) -> Vec<ShadowCounts> {
        let report = &self.shared.shadow.report;
        let known = report.counts.read().unwrap_or_else(PoisonError::into_inner);
        let counts = |(policy, counts): (&String, &Arc<Counts>)| ShadowCounts {
            policy: policy.clone(),
            allowed: counts.allowed.load(Relaxed),
            would_deny: counts.would_deny.load(Relaxed),
            undecided: counts.undecided.load(Relaxed),
        };
        let mut report: Vec<_> = known.iter().map(counts).collect();
        report.sort_unstable_by(|one, other| one.policy.cmp(&other.policy));
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_beyond_the_first_are_counted_together() {
        let report = Report::default();
        for number in 0..2 * MOST {
            report.of(&number.to_string()).allowed.fetch_add(1, Relaxed);
        }
        assert_eq!(report.counts.read().unwrap().len(), MOST + 1);
        assert_eq!(report.of("7").allowed.load(Relaxed), 1);
        assert_eq!(report.of("2000").allowed.load(Relaxed), MOST as u64);
    }
}
