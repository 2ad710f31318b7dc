//! Denials of requests that have other requests ahead in a queue.

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    Request, Reservation, Unavailable,
    queue_denial::QueueDenial,
    requested_limit::RequestedLimit,
    turn::Turn,
    wait_deadlines::{Deadlines, PERMIT_BACKOFF},
    wait_queue::QueueId,
};
use crate::{Decision, store::Operation};

impl Request<'_> {
    /// Returns a denial without taking units. `ahead` returns the units for which other requests wait ahead of this
    /// request, for the limit with this index. The wait of each quota in the denial ends with the turn of the request.
    pub(super) async fn denied_by_others(
        &self,
        ahead: impl Fn(usize) -> u64,
    ) -> Result<Reservation, Unavailable> {
        let ahead: SmallVec<[u64; 2]> = (0..self.limits.len()).map(ahead).collect();
        let turn = |limit: usize, quota| Turn::behind(ahead[limit], quota, self.limits[limit].cost);
        let mut buckets = self.buckets(Operation::Peek);
        for bucket in buckets.iter_mut().filter(|bucket| bucket.is_quota) {
            if let Some(turn) = turn(bucket.limit, bucket.request.quota) {
                bucket.request.cost = turn.peeked_cost();
            }
        }
        // The peek replaces a check, so the guard records a failed peek as a failed check.
        let mut denial = self
            .peek_buckets(&buckets)
            .await
            .map(Decision::denied)
            .inspect_err(|unavailable| self.guard().record_failure(unavailable))?;
        denial.replace_statuses(|status| {
            let limit = status.limit_index();
            let wait = turn(limit, status.quota())?.wait(&status.bucket_status());
            Some(status.clone().with_wait(self.limits[limit].cost, wait))
        });
        Ok(self.denied_reservation(denial))
    }

    /// Returns the last denial behind the queue of the only limit, if this request does not wait either.
    pub(super) fn repeated_denial(&self, deadlines: &Deadlines) -> Option<Reservation> {
        let [RequestedLimit { policy, key, cost, .. }] = &*self.limits else { return None };
        let (queues, id) = (&self.guard().shared.wait_queues, QueueId::of(policy, key));
        let denial = queues.repeated_denial(&id, policy, *cost)?;
        let next_check = deadlines.next_check(&denial, Instant::now(), &mut { PERMIT_BACKOFF });
        let is_denied = next_check.is_none() || queues.is_full(&id);
        is_denied.then(|| self.denied_reservation(denial))
    }

    /// Stores a denial of a request with one limit, if its queue exists.
    pub(super) fn store_denial(&self, decision: &Decision) {
        if let [RequestedLimit { policy, key, cost, .. }] = &*self.limits
            && !decision.is_allowed()
        {
            let shared = &self.guard().shared;
            let max_ttl = shared.denial_cache.max_ttl();
            shared.wait_queues.store_denial(&QueueId::of(policy, key), |units| {
                QueueDenial::new(decision, policy, *cost, units, max_ttl)
            });
        }
    }

    fn denied_reservation(&self, denial: Decision) -> Reservation {
        let (guard, on_error) = (self.guard(), self.on_error());
        Reservation::new(guard, on_error, denial, &self.limits, &[], std::iter::empty())
    }
}
