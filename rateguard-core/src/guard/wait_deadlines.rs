//! The times until which the limits of a request let it wait.

use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{Decision, backoff::Backoff, quota_status::QuotaStatus};

/// The minimum time between two checks of a waiting request. It is the resolution of Tokio's timer.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// The maximum time that a request waits. It is twice the longest window of a quota. Without this maximum, the end of
/// a very long wait could not be represented as an `Instant`.
const MAX_WAIT: Duration = Duration::from_secs(2 * 365 * 86_400);

/// The delays between two checks of a request that waits for a permit.
pub(super) const PERMIT_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(5), Duration::from_millis(100), 0.25);

/// The time at which the wait for each limit of a request ends.
pub(super) struct Deadlines {
    start: Instant,
    ends: SmallVec<[Instant; 2]>,
}

impl Deadlines {
    /// Returns the ends of waits that begin now.
    pub(super) fn new(max: impl IntoIterator<Item = Duration>) -> Self {
        let start = Instant::now();
        let ends = max.into_iter().map(|max| start + max.min(MAX_WAIT)).collect();
        Self { start, ends }
    }

    /// Returns the end of the wait for the limit with this index in the request.
    pub(super) fn of(&self, limit: usize) -> Instant {
        self.ends.get(limit).copied().unwrap_or(self.start)
    }

    /// Returns whether the request may wait for the limit with this index.
    pub(super) fn has_wait(&self, limit: usize) -> bool {
        self.of(limit) > self.start
    }

    /// Returns the time of the next check of a denied request. The result is `None` if the request is denied: a limit
    /// without room has none before the end of its wait.
    pub(super) fn next_check(
        &self,
        decision: &Decision,
        now: Instant,
        permit_backoff: &mut Backoff,
    ) -> Option<Instant> {
        let after = |wait: Duration| now + wait.clamp(MIN_WAIT, MAX_WAIT);
        let ban = decision.banned_for().map(|ban| (after(ban), limit_of(decision)));
        let waits = decision.statuses().iter().filter_map(|status| {
            let wait = status.retry_after().filter(|wait| !wait.is_zero())?;
            Some((after(wait), status.limit_index()))
        });
        let mut last = None;
        for (check, limit) in ban.into_iter().chain(waits) {
            if check > self.of(limit) {
                return None;
            }
            last = last.max(Some(check));
        }
        // The guard cannot know when a permit will be free, so it checks again until the end of the wait.
        let mut end = None;
        for status in decision.statuses().iter().filter(|it| it.retry_after().is_none()) {
            let deadline = self.of(status.limit_index());
            if !status.lacks_permit() || now >= deadline {
                return None;
            }
            end = Some(end.map_or(deadline, |end: Instant| end.min(deadline)));
        }
        match (last, end) {
            (Some(last), _) => Some(last),
            (None, Some(end)) => Some(end.min(now + permit_backoff.next_delay())),
            (None, None) => Some(after(Duration::ZERO)),
        }
    }
}

/// Returns the index of the limit to which the tightest quota belongs. After a denial, the tightest quota is the quota
/// that will have room last.
pub(super) fn limit_of(decision: &Decision) -> usize {
    decision.statuses().get(decision.tightest_index()).map_or(0, QuotaStatus::limit_index)
}
