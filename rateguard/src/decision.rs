//! What a check answers.

use std::time::Duration;

use crate::Quota;

/// Whether a request is admitted, and the numbers that explain it.
///
/// All numbers come from the same atomic step as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    quota: Quota,
    remaining: u32,
    reset_after: Duration,
    retry_after: Option<Duration>,
}

impl Decision {
    /// The request is admitted and `remaining` more would be, at this moment.
    pub(crate) fn allowed(quota: Quota, remaining: u32, reset_after: Duration) -> Self {
        Self { quota, remaining, reset_after, retry_after: None }
    }

    /// The request is not admitted and the same one would be after `retry_after`.
    pub(crate) fn denied(quota: Quota, retry_after: Duration) -> Self {
        Self { quota, remaining: 0, reset_after: retry_after, retry_after: Some(retry_after) }
    }

    /// The same answer, given for another quota.
    pub(crate) fn for_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// Whether the request is admitted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.retry_after.is_none()
    }

    /// The quota that decided.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// How many requests are admitted at once at the most: the quota's limit, or the burst of a token bucket.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.quota.capacity()
    }

    /// How many more requests would be admitted at this moment.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        self.remaining
    }

    /// How long it takes until the next bit of quota comes back, if nothing else is admitted meanwhile.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.reset_after
    }

    /// How long a denied request has to wait: after it, the same request is admitted, if nobody else takes its
    /// place. `None` if the request is admitted.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whichever of two decisions on one request leaves a caller less: a denial, else the fewer remaining, else the
    /// later reset. A denial's wait is long enough for the other one, too.
    #[must_use]
    pub(crate) fn tighter(self, other: Self) -> Self {
        let rank = |decision: &Self| {
            (decision.is_allowed(), decision.remaining, std::cmp::Reverse(decision.reset_after))
        };
        let (mut tight, loose) =
            if rank(&other) < rank(&self) { (other, self) } else { (self, other) };
        if loose.remaining == 0 {
            tight.retry_after = tight.retry_after.map(|wait| wait.max(loose.reset_after));
        }
        tight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_decision_leaves_less() {
        let quota = "10/minute".parse().unwrap();
        let second = Duration::from_secs(1);
        let allowed = |remaining, reset| Decision::allowed(quota, remaining, reset);
        let denied = Decision::denied(quota, second);
        for (tight, loose) in [
            (denied, allowed(1, 9 * second)),
            (allowed(1, second), allowed(2, 9 * second)),
            (allowed(1, 9 * second), allowed(1, second)),
        ] {
            assert_eq!(tight.tighter(loose), tight);
            assert_eq!(loose.tighter(tight), tight);
        }
    }

    #[test]
    fn who_waits_for_the_tighter_decision_does_not_wait_in_vain_for_the_other() {
        let quota = "10/minute".parse().unwrap();
        let second = Duration::from_secs(1);
        let exhausted = Decision::allowed(quota, 0, 9 * second);
        let denied = exhausted.tighter(Decision::denied(quota, second));
        assert_eq!((denied.retry_after(), denied.reset_after()), (Some(9 * second), second));
    }
}
