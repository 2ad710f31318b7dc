//! Requests that hold a permit while they are in progress.

use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::runtime::Handle;

use super::{
    hold::HoldBucket,
    lease::PermitLease,
    permit::{Acquisition, Permit},
};
use crate::{
    Decision, Key, Policy,
    guard::{
        RateGuard, Reservation, Unavailable,
        request::Request,
        requested_limit::{LimitBucket, PermitUse},
    },
    store::Receipt,
};

impl Request<'_> {
    /// Checks the request like [`check`](Self::check), and takes a [`Permit`] of each policy that limits the requests in
    /// progress. The store takes the units and the permits in one step: a request without a permit takes no units, and a
    /// request without units takes no permit.
    ///
    /// If this future is dropped before it returns, the guard releases the permits and refunds the units.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`check`](Self::check). After an error, the store may hold the permit for one lease.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn acquire(&self) -> Result<Acquisition, Unavailable> {
        self.clone().taking_permits().reserve_permit().await.map(acquisition)
    }

    /// Waits until there is room and a permit is free, like [`check_or_wait`](Self::check_or_wait), and then takes the
    /// [`Permit`]. If this takes longer than `max`, the method returns a denial.
    ///
    /// The guard cannot know when a request in progress ends. So while all permits are held, it asks the store again after
    /// a delay that grows from 5 to 100 milliseconds. Only the request at the front of the queue does this.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`check_or_wait`](Self::check_or_wait).
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check_or_wait`](Self::check_or_wait).
    pub async fn acquire_or_wait(&self, max: Duration) -> Result<Acquisition, Unavailable> {
        let _waiting = self.guard().shared.permits.count_waiting();
        let request = self.clone().taking_permits();
        request.reserve_or_wait(max).await.map(acquisition)
    }

    /// Reserves units and takes permits. If this future is dropped before it returns, the guard releases the permits.
    #[doc(hidden)]
    pub async fn reserve_permit(&self) -> Result<Reservation, Unavailable> {
        // The reply of an in-memory store is ready at once, so the future cannot be dropped between the call and the
        // reply. Without a runtime, there is no task that could wait for the reply.
        if self.guard().has_remote_store() && Handle::try_current().is_ok() {
            let reserve = async {
                let reservation = self.reserve_cancel_safe().await?;
                let decision = self.escalate(reservation.decision().clone()).await;
                Ok(reservation.with_decision(decision))
            };
            let reserve = self.record_check(reserve, Reservation::decision);
            return Box::pin(self.reserve_with_shadows(reserve)).await;
        }
        Box::pin(self.reserve()).await
    }

    /// Lets the request take a permit of each policy that limits the requests in progress.
    #[doc(hidden)]
    pub fn taking_permits(mut self) -> Self {
        for limit in &mut self.limits {
            if limit.permit_use == PermitUse::RequireRoom {
                limit.permit_use = PermitUse::Take;
            }
        }
        self
    }

    /// Returns the permits that an admitted request has taken. `None` if it has taken none.
    pub(in crate::guard) fn permit_lease(
        &self,
        decision: &Decision,
        buckets: &[LimitBucket<'_>],
        receipts: &[(Receipt, Option<Receipt>)],
        sent_at: Instant,
    ) -> Option<PermitLease> {
        if !decision.is_allowed() {
            return None;
        }
        let has_permit = |bucket: &LimitBucket<'_>| {
            bucket.is_quota
                && bucket.request.taken() > 0
                && bucket.request.quota.algorithm().has_permits()
        };
        let holds: SmallVec<[HoldBucket; 1]> = buckets
            .iter()
            .zip(receipts)
            .filter(|(bucket, _)| has_permit(bucket))
            .map(|(bucket, &(receipt, mirrored))| {
                let requested = &self.limits[bucket.limit];
                HoldBucket {
                    name: requested.policy.quotas_of_variant(requested.variant).0.clone(),
                    index: bucket.request.bucket.index(),
                    key: requested.key,
                    quota: bucket.request.quota,
                    receipt,
                    mirrored,
                }
            })
            .collect();
        let is_local = decision.is_local();
        (!holds.is_empty()).then(|| PermitLease::new(self.guard(), holds, is_local, sent_at))
    }
}

fn acquisition(mut reservation: Reservation) -> Acquisition {
    let lease = reservation.take_permit();
    let decision = reservation.into_decision();
    if decision.is_allowed() {
        Acquisition::Granted(Permit::new(decision, lease))
    } else {
        Acquisition::Denied(decision)
    }
}

impl RateGuard {
    /// Takes a permit of `policy` for `key`, and one unit of each of its rates. The permit counts until it is dropped.
    ///
    /// ```
    /// # use actix_rateguard_core::{Acquisition, Key, Policy, RateGuard};
    /// # futures_util::FutureExt::now_or_never(async {
    /// # let guard = RateGuard::in_memory();
    /// let exports = Policy::new("exports", "2 concurrent")?;
    /// let key = Key::from("user-42");
    ///
    /// let first = guard.acquire(&exports, &key).await?.into_permit();
    /// let second = guard.acquire(&exports, &key).await?.into_permit();
    /// assert!(first.is_some() && second.is_some());
    /// let Acquisition::Denied(decision) = guard.acquire(&exports, &key).await? else { panic!() };
    /// assert!(decision.is_denied_by_concurrency() && decision.retry_after().is_none());
    /// drop(first);
    /// assert!(guard.acquire(&exports, &key).await?.is_granted());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Request::acquire`].
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn acquire(&self, policy: &Policy, key: &Key) -> Result<Acquisition, Unavailable> {
        self.request(policy, key).acquire().await
    }

    /// Waits until a permit of `policy` is free for `key`, and then takes it. If there is none within the time `max`, the
    /// method returns a denial. See [`Request::acquire_or_wait`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Request::acquire_or_wait`].
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`Request::acquire_or_wait`].
    pub async fn acquire_or_wait(
        &self,
        policy: &Policy,
        key: &Key,
        max: Duration,
    ) -> Result<Acquisition, Unavailable> {
        self.request(policy, key).acquire_or_wait(max).await
    }
}
