//! Where every decision of a policy that is tried is told.

use std::sync::atomic::Ordering::Relaxed;

use crate::{Policy, RateGuard};

/// What came of a question in shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Denied,
    /// The store did not answer.
    Undecided,
}

impl RateGuard {
    /// A policy that is tried, or its candidate, has decided on a request.
    pub(super) fn told_in_shadow(&self, policy: &Policy, outcome: Outcome) {
        let counts = self.shared.shadow.report.of(policy.name());
        match outcome {
            Outcome::Allowed => counts.allowed.fetch_add(1, Relaxed),
            Outcome::Denied => counts.would_deny.fetch_add(1, Relaxed),
            Outcome::Undecided => counts.undecided.fetch_add(1, Relaxed),
        };
        if outcome == Outcome::Denied
            && let Some(denied) = counts.line.say()
        {
            let decided = counts.allowed.load(Relaxed) + counts.would_deny.load(Relaxed);
            let before = counts.decided_when_said.swap(decided, Relaxed);
            log::info!(
                target: "rateguard",
                "`{}` in shadow would have denied {denied} of {} requests since the last line like this",
                policy.name(), decided.saturating_sub(before)
            );
        }
    }
}
