//! A reservation records the units that the guard has taken for a request. With this record, the guard can refund
//! the units or correct their number.

use std::{fmt, time::Duration};

use smallvec::SmallVec;

use super::{
    RateGuard, Unavailable,
    permit::PermitLease,
    requested_limit::{LimitBucket, RequestedLimit},
    shadow::ShadowHolds,
};
use crate::{
    Decision, Key, OnError, Quota,
    policy::PolicyName,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Receipt},
};

/// The units that the guard has taken for a request. [`Request::reserve`](super::Request::reserve) returns a
/// reservation.
///
/// [`settle`](Self::settle) changes the number of taken units to the actual cost, and [`refund`](Self::refund)
/// refunds all units. If a reservation is dropped, the units stay taken.
///
/// ```
/// # use actix_rateguard_core::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// # let guard = RateGuard::in_memory();
/// # let tenant = Key::from("tenant-7");
/// let tokens = Policy::new("tokens", "100000/day")?;
///
/// // Reserve the maximum cost first, and correct it when the actual cost is available.
/// let reservation = guard.request(&tokens, &tenant).cost(4_000).reserve().await?;
/// if reservation.decision().is_allowed() {
///     let used = 1_234;
///     let decision = reservation.settle(used).await?;
///     assert_eq!(decision.remaining(), 100_000 - 1_234);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[must_use = "its units stay taken unless it is settled or refunded"]
pub struct Reservation {
    guard: RateGuard,
    on_error: OnError,
    decision: Decision,
    /// The units that were taken for each quota, in the same order as the quota statuses in the decision.
    holds: Vec<Hold>,
    /// The cost of the limit that was added last to the request.
    last_cost: u32,
    /// The index of the limit that was added last to the request.
    last_limit: usize,
    /// The units that the shadow checks of the request have taken.
    shadows: Option<ShadowHolds>,
    /// The permits that the guard has taken for the request. If the reservation is dropped, the guard releases them.
    permit: Option<PermitLease>,
}

/// The units that the guard has taken from one bucket.
struct Hold {
    /// The index of the bucket's limit in the request.
    limit: usize,
    policy: PolicyName,
    /// The name of the bucket: the name of the policy, or the name that the policy uses for the buckets of its
    /// candidate quotas.
    bucket_name: PolicyName,
    bucket_index: usize,
    key: Key,
    quota: Quota,
    cost: u32,
    receipt: Receipt,
    /// The receipt (the data that a refund needs) for the units that the guard also took in this process's memory.
    /// `None` if the guard took no units there.
    mirrored: Option<Receipt>,
}

impl Hold {
    fn request(&self, cost: u32) -> BucketRequest<'_> {
        let bucket = Bucket::new(self.bucket_name.as_str(), self.bucket_index, &self.key);
        let mut request = BucketRequest::new(bucket, self.quota, cost);
        request.receipt = self.receipt;
        request
    }
}

impl Reservation {
    pub(super) fn new(
        guard: &RateGuard,
        on_error: OnError,
        decision: Decision,
        limits: &[RequestedLimit<'_>],
        buckets: &[LimitBucket<'_>],
        receipts: impl Iterator<Item = (Receipt, Option<Receipt>)>,
    ) -> Self {
        let holds = buckets
            .iter()
            .zip(receipts)
            .filter(|(bucket, _)| bucket.is_quota)
            .map(|(&LimitBucket { limit, request, .. }, (receipt, mirrored))| {
                let RequestedLimit { policy, key, variant, .. } = &limits[limit];
                Hold {
                    limit,
                    policy: policy.shared_name().clone(),
                    bucket_name: policy.quotas_of_variant(*variant).0.clone(),
                    bucket_index: request.bucket.index(),
                    key: *key,
                    quota: request.quota,
                    // The permits of a request are not part of its units.
                    cost: match request.quota.algorithm().has_permits() {
                        false if decision.is_allowed() => request.cost,
                        _ => 0,
                    },
                    receipt,
                    mirrored,
                }
            })
            .collect();
        let last_cost = limits.last().map_or(0, |limit| limit.cost);
        let (guard, last_limit) = (guard.clone(), limits.len().saturating_sub(1));
        Self {
            guard,
            on_error,
            decision,
            holds,
            last_cost,
            last_limit,
            shadows: None,
            permit: None,
        }
    }

    /// Adds the permits that the guard has taken for the request.
    pub(super) fn with_permit(self, permit: Option<PermitLease>) -> Self {
        Self { permit, ..self }
    }

    /// Returns the permits that the guard has taken for the request, and removes them from the reservation.
    #[doc(hidden)]
    pub fn take_permit(&mut self) -> Option<PermitLease> {
        self.permit.take()
    }

    /// Creates a reservation for a request whose policies are all in shadow mode. The reservation only contains the
    /// units that shadow checks have taken.
    pub(super) fn of_shadows(
        guard: &RateGuard,
        decision: Decision,
        limits: &[RequestedLimit<'_>],
        shadows: ShadowHolds,
    ) -> Self {
        let no_receipts = std::iter::empty();
        Self::new(guard, OnError::Open, decision, limits, &[], no_receipts).with_shadows(shadows)
    }

    /// Adds the units that shadow checks have taken to the reservation.
    pub(super) fn with_shadows(self, shadows: ShadowHolds) -> Self {
        Self { shadows: Some(shadows), ..self }
    }

    /// Sets how long the request has waited for its decision.
    pub(super) fn with_wait(mut self, waited: Duration) -> Self {
        self.decision = self.decision.after_wait(waited);
        self
    }

    /// Returns the decision on the request. After a denial, the reservation holds no units, so [`settle`](Self::settle)
    /// and [`refund`](Self::refund) have no effect.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Returns the decision, and drops the reservation. The units stay taken.
    #[must_use]
    pub fn into_decision(self) -> Decision {
        self.decision
    }

    /// Replaces the decision in the reservation. The new decision must have the statuses of the same quotas.
    #[doc(hidden)]
    pub fn with_decision(self, decision: Decision) -> Self {
        Self { decision, ..self }
    }

    /// Refunds the units of this reservation that still count against the limit. The guard never refunds the units of
    /// other requests. If a token bucket has regained some units of this reservation since the check, the guard does
    /// not refund these units a second time.
    ///
    /// Returns the decision with the quota statuses after the refund.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. It is possible that the store has refunded the
    /// units anyway. A second call could then refund the same units again, so this method consumes the reservation.
    ///
    /// # Panics
    ///
    /// Panics if the guard counts in Redis Cluster or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn refund(self) -> Result<Decision, Unavailable> {
        self.refund_except(|_| 0).await
    }

    /// Replaces the reserved cost of the key that was added last with the actual cost `cost`. If `cost` is lower
    /// than the reserved cost, the guard refunds the difference. If `cost` is higher, the guard debits the
    /// difference, even if there is no room. The units of other keys stay taken.
    ///
    /// Returns the decision with the quota statuses after the correction. If the difference is above the
    /// [`max_cost`](Quota::max_cost) of a sliding-window log, the guard debits the log in several store calls, and
    /// the deadline applies to each call separately.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. It is possible that the store has corrected the
    /// units anyway.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`refund`](Self::refund).
    pub async fn settle(mut self, cost: u32) -> Result<Decision, Unavailable> {
        if self.decision.is_allowed() {
            if let Some(shadows) = self.shadows.take() {
                shadows.settle(self.last_limit, self.last_cost, cost);
            }
            let last_limit = self.holds.iter().map(|hold| hold.limit).max();
            let (requested, is_local) = (self.last_cost, self.decision.is_local());
            // If the guard decided in this process's memory, it took at most the maximum cost of this process's
            // share of the quota. So the reserved cost and the actual cost are reduced to this maximum before their
            // difference is calculated.
            let difference = |hold: &Hold, minuend: u32, subtrahend: u32| {
                let bounded =
                    |units: u32| if is_local { units.min(hold.quota.max_cost()) } else { units };
                if Some(hold.limit) == last_limit && !hold.quota.algorithm().has_permits() {
                    bounded(minuend).saturating_sub(bounded(subtrahend))
                } else {
                    0
                }
            };
            self.apply(Operation::Refund, |hold| difference(hold, requested, cost)).await?;
            self.apply(Operation::Debit, |hold| difference(hold, cost, requested)).await?;
        }
        Ok(self.decision)
    }

    /// Refunds the units of each limit, except for `kept` units of the limit. The argument of `kept` is the index of a
    /// limit in the request.
    #[doc(hidden)]
    pub async fn refund_except(
        mut self,
        kept: impl Fn(usize) -> u32,
    ) -> Result<Decision, Unavailable> {
        if let Some(shadows) = self.shadows.take() {
            shadows.refund_except(&kept);
        }
        // A decision in this process's memory has taken at most the share of this process. So the difference is between
        // the units that were taken and the units that stay.
        self.apply(Operation::Refund, |hold| hold.cost.saturating_sub(kept(hold.limit))).await?;
        Ok(self.decision)
    }

    /// Refunds or debits units of the buckets, and updates the decision. The function `cost` returns the number of
    /// units for each bucket. Buckets with a cost of 0 are not sent to the store.
    async fn apply(
        &mut self,
        operation: Operation,
        cost: impl Fn(&Hold) -> u32,
    ) -> Result<(), Unavailable> {
        let (indexes, requests): (SmallVec<[usize; 1]>, SmallVec<[BucketRequest<'_>; 1]>) = self
            .holds
            .iter()
            .enumerate()
            .map(|(index, hold)| (index, hold.request(cost(hold))))
            .filter(|(_, request)| request.cost > 0)
            .unzip();
        if requests.is_empty() {
            return Ok(());
        }
        let on_error = self.on_error;
        let is_local = self.decision.is_local();
        let verdict = if is_local {
            self.guard.shared.local.apply(operation, &requests)
        } else {
            let verdict = self.guard.apply(operation, &requests, || on_error).await?;
            if operation == Operation::Refund {
                // The guard also refunds the units that it counted in this process's memory, so that the count there
                // decreases as much as the count in the store.
                let local = &self.guard.shared.local;
                let mut mirrored_refunds: SmallVec<[BucketRequest<'_>; 1]> = SmallVec::new();
                for (index, refund) in indexes.iter().zip(&requests) {
                    let hold = &self.holds[*index];
                    let Some(receipt) = hold.mirrored else { continue };
                    let remaining = hold.cost.saturating_sub(refund.cost);
                    let clamp = |units| local.clamp_to_share(refund.quota, units);
                    let mut mirrored_refund = *refund;
                    mirrored_refund.cost = clamp(hold.cost).saturating_sub(clamp(remaining));
                    mirrored_refund.receipt = receipt;
                    mirrored_refunds.push(mirrored_refund);
                }
                local.mirror_undo(operation, &mirrored_refunds);
            }
            if operation == Operation::Debit && self.guard.has_remote_store() {
                let _ = self.guard.shared.local.mirror(&requests);
            }
            verdict
        };
        let mut statuses: SmallVec<[QuotaStatus; 1]> = self.decision.statuses().into();
        for ((index, request), status) in indexes.into_iter().zip(&requests).zip(verdict.statuses())
        {
            let hold = &self.holds[index];
            statuses[index] =
                QuotaStatus::new(hold.policy.clone(), request, status).of_limit(hold.limit);
        }
        let waited = self.decision.waited();
        let decision = Decision::new(self.decision.is_allowed(), statuses).after_wait(waited);
        self.decision = if is_local { decision.locally() } else { decision };
        Ok(())
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("decision", &self.decision).finish_non_exhaustive()
    }
}
