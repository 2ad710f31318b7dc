//! Checks that wait until there is room, instead of being denied immediately.

use std::time::Duration;

use super::{Request, Reservation, Unavailable, shadow::ShadowChecks, wait_deadlines::Deadlines};
use crate::{Decision, store::Operation};

impl Request<'_> {
    /// Waits until there is room, and then takes the units. If there is no room within the time `max`, the method
    /// returns a denial.
    ///
    /// Requests that wait for the same key get their units in the order in which they began to wait, even if their
    /// costs differ. There are three exceptions to this order:
    ///
    /// - A request for several keys waits in the queue of the key that will have room last. The request joins the queue
    ///   of each key at most once. If the request later returns to a key for which it has already waited, it waits
    ///   outside the queue of this key. Other requests for this key can then get their units first.
    /// - Guards in different processes have separate queues, so requests from several processes compete when there is
    ///   room.
    /// - A request that does not wait, such as [`check`](Self::check), can take the units for which another request
    ///   waits. So do not use both kinds of requests for the same key.
    ///
    /// If there will be no room within `max`, because the store expects none or because other requests are ahead in the
    /// queue, this method returns the denial immediately. Its [`retry_after`](Decision::retry_after) is the time until
    /// the turn of the request. If other requests are still ahead in the queue after `max`, for example because other
    /// processes have taken the units, the method returns the denial then. In all of these cases, the guard takes no
    /// units and counts no offence.
    ///
    /// You can drop the future at any time. If the guard has already taken units for the request, it refunds the units
    /// after the drop. If the store fails during this refund, the units stay taken. A future that is neither polled nor
    /// dropped blocks the queue. If the guard is [closed](crate::RateGuard::close), a waiting request is denied.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] if the store did not decide within the deadline. In the failure mode
    /// [`OnError::Local`](crate::OnError::Local), the method returns a decision instead of this error, because this
    /// process then decides in its memory. A waiting request can need several store calls, and the deadline applies to
    /// each call separately.
    ///
    /// # Panics
    ///
    /// Panics if there is no Tokio runtime with its timer enabled.
    pub async fn check_or_wait(&self, max: Duration) -> Result<Decision, Unavailable> {
        if self.is_in_shadow() {
            // All policies of the request are in shadow mode, so the request is never denied and need not wait.
            return self.check().await;
        }
        self.reserve_or_wait(max).await.map(Reservation::into_decision)
    }

    /// Waits until there is room, like [`check_or_wait`](Self::check_or_wait), and returns the units and permits that the
    /// guard has taken.
    pub(super) async fn reserve_or_wait(&self, max: Duration) -> Result<Reservation, Unavailable> {
        if self.is_in_shadow() {
            return self.reserve().await;
        }
        // The guard may repeat the enforced check. It runs the shadow checks only once, so that the request is
        // counted only once in shadow mode.
        let _shadows = self.shadow_checks(Operation::Check).map(ShadowChecks::start);
        let deadlines = Deadlines::new(self.limits().map(|_| max));
        let reserve = self.reserve_until_room(deadlines, false);
        self.record_check(reserve, Reservation::decision).await
    }

    /// Waits until there is room, for a request of a client. `max` has the maximum wait of each limit. It begins now, and
    /// bounds how long the request waits for room in this limit. If a limit with the wait zero has no room, the request
    /// is denied immediately.
    ///
    /// The number of requests that wait in this way is bounded for each policy and key, and for the guard. Above these
    /// bounds, a request is denied immediately. A denial is an offence like a denial of a request that does not wait.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`check_or_wait`](Self::check_or_wait).
    #[doc(hidden)]
    pub async fn reserve_within_waits(
        &self,
        max: impl IntoIterator<Item = Duration>,
    ) -> Result<Reservation, Unavailable> {
        let deadlines = Deadlines::new(max);
        let reserve = async {
            let reservation = self.reserve_until_room(deadlines, true).await?;
            let decision = self.escalate(reservation.decision().clone()).await;
            Ok(reservation.with_decision(decision))
        };
        self.reserve_with_shadows(self.record_check(reserve, Reservation::decision)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout_at};

    use super::*;
    use crate::{Key, Policy, RateGuard};

    #[tokio::test(start_paused = true)]
    async fn queue_is_removed_with_its_last_waiting_check() {
        let guard = RateGuard::in_memory();
        let policy = Policy::new("jobs", "1/hour").unwrap();
        let key = Key::global();
        let second = Duration::from_secs(1);
        assert!(guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        assert!(!guard.check_or_wait(&policy, &key, second).await.unwrap().is_allowed());
        let waiting = guard.check_or_wait(&policy, &key, 2 * 3_600 * second);
        assert!(timeout_at(Instant::now() + second, waiting).await.is_err());
        assert_eq!(guard.shared.wait_queues.len(), 0);
    }
}
