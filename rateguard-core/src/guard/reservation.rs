//! What was taken and may be given back.

use std::fmt;

use smallvec::SmallVec;

use super::{
    RateGuard, Unavailable,
    requested_limit::{LimitCharge, RequestedLimit},
    shadow::ShadowHolds,
};
use crate::{
    Decision, Key, OnError, Quota,
    policy::PolicyName,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Receipt},
};

/// What a request has taken, made by [`Request::reserve`](super::Request::reserve): to be given back, or corrected to a
/// cost that is known only afterwards.
///
/// If it is dropped, what it took stays taken.
///
/// ```
/// # use actix_rateguard_core::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// # let guard = RateGuard::in_memory();
/// # let tenant = Key::from("tenant-7");
/// let tokens = Policy::new("tokens", "100000/day")?;
///
/// // As many as there may be; then as many as there were.
/// let reservation = guard.request(&tokens, &tenant).cost(4_000).reserve().await?;
/// if reservation.decision().is_allowed() {
///     let used = 1_234;
///     let decision = reservation.settle(used).await?;
///     assert_eq!(decision.remaining(), 100_000 - 1_234);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[must_use = "what it took stays taken until it is settled or refunded"]
pub struct Reservation {
    guard: RateGuard,
    on_error: OnError,
    decision: Decision,
    /// In the order of the decision's standings.
    taken: Vec<Hold>,
    /// How many units were asked for of the key that was named last.
    asked_last: u32,
    /// The place of that in the request.
    last: usize,
    /// What is tried beside it.
    shadows: Option<ShadowHolds>,
}

struct Hold {
    /// The place of the limit in the request.
    limit: usize,
    policy: PolicyName,
    /// Of the bucket.
    name: PolicyName,
    place: usize,
    key: Key,
    quota: Quota,
    cost: u32,
    receipt: Receipt,
    /// Of what was taken in memory after the store.
    mirrored: Option<Receipt>,
}

impl Hold {
    fn debit(&self, cost: u32) -> BucketRequest<'_> {
        let bucket = Bucket::new(self.name.as_str(), self.place, &self.key);
        let mut charge = BucketRequest::new(bucket, self.quota, cost);
        charge.receipt = self.receipt;
        charge
    }
}

impl Reservation {
    pub(super) fn new(
        guard: &RateGuard,
        on_error: OnError,
        decision: Decision,
        limits: &[RequestedLimit<'_>],
        charges: &[LimitCharge<'_>],
        receipts: impl Iterator<Item = (Receipt, Option<Receipt>)>,
    ) -> Self {
        let taken = charges
            .iter()
            .zip(receipts)
            .filter(|(of_limit, _)| of_limit.is_of_quota)
            .map(|(&LimitCharge { limit, charge, .. }, (receipt, mirrored))| Hold {
                limit,
                policy: limits[limit].policy.shared_name().clone(),
                name: limits[limit].policy.quotas_of_variant(limits[limit].side).0.clone(),
                place: charge.bucket.place(),
                key: limits[limit].key,
                quota: charge.quota,
                // A denial has taken nothing.
                cost: if decision.is_allowed() { charge.cost } else { 0 },
                receipt,
                mirrored,
            })
            .collect();
        let asked_last = limits.last().map_or(0, |asked| asked.cost);
        let (guard, last) = (guard.clone(), limits.len().saturating_sub(1));
        Self { guard, on_error, decision, taken, asked_last, last, shadows: None }
    }

    /// Of limits that are all in shadow.
    pub(super) fn of_shadows(
        guard: &RateGuard,
        decision: Decision,
        limits: &[RequestedLimit<'_>],
        shadows: ShadowHolds,
    ) -> Self {
        let nothing = std::iter::empty();
        Self::new(guard, OnError::Open, decision, limits, &[], nothing).with_shadows(shadows)
    }

    /// The same, with what is tried beside it.
    pub(super) fn with_shadows(self, shadows: ShadowHolds) -> Self {
        Self { shadows: Some(shadows), ..self }
    }

    /// What was decided. If it is a denial, nothing was taken, and nothing will be charged or given back.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The decision alone: what was taken stays taken.
    #[must_use]
    pub fn into_decision(self) -> Decision {
        self.decision
    }

    /// The same, with what has become of its decision since.
    pub(super) fn with_decision(self, decision: Decision) -> Self {
        Self { decision, ..self }
    }

    /// Gives back all that was taken, as far as it still counts, and nothing that somebody else took. Of a token bucket,
    /// what has come back by itself since is not given back once more.
    ///
    /// The answer says how the quotas stand after that.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time. It may yet have given it back, so it cannot be repeated: it
    /// might be given back twice.
    ///
    /// # Panics
    ///
    /// A guard on Redis, where there is no Tokio runtime with its timer enabled.
    pub async fn refund(self) -> Result<Decision, Unavailable> {
        self.refund_where(|_| true).await
    }

    /// Corrects what was taken of the key that was named last to `cost` units: gives back what was too much, or charges
    /// what was too little, also beyond the limit, since it has been used. What was taken of other keys stays taken.
    ///
    /// The answer says how the quotas stand after that. More than [`max_cost`](Quota::max_cost) is charged to a log in
    /// several steps, each within the deadline.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`refund`](Self::refund).
    pub async fn settle(mut self, cost: u32) -> Result<Decision, Unavailable> {
        if self.decision.is_allowed() {
            if let Some(shadows) = self.shadows.take() {
                shadows.settle(self.last, self.asked_last, cost);
            }
            let last = self.taken.iter().map(|taken| taken.limit).max();
            let (asked, is_local) = (self.asked_last, self.decision.is_local());
            // In memory no more was taken than the share has.
            let of_last = |taken: &Hold, more: u32, less: u32| {
                let cut =
                    |units: u32| if is_local { units.min(taken.quota.max_cost()) } else { units };
                if Some(taken.limit) == last { cut(more).saturating_sub(cut(less)) } else { 0 }
            };
            self.apply(Operation::Refund, |taken| of_last(taken, asked, cost)).await?;
            self.apply(Operation::Debit, |taken| of_last(taken, cost, asked)).await?;
        }
        Ok(self.decision)
    }

    /// Gives back what was taken under the limits of these places in the request.
    #[doc(hidden)]
    pub async fn refund_where(
        mut self,
        gives_back: impl Fn(usize) -> bool,
    ) -> Result<Decision, Unavailable> {
        if let Some(shadows) = self.shadows.take() {
            shadows.refund(&gives_back);
        }
        self.apply(Operation::Refund, |taken| if gives_back(taken.limit) { taken.cost } else { 0 })
            .await?;
        Ok(self.decision)
    }

    /// Does this to all buckets for which there is something to do.
    async fn apply(
        &mut self,
        operation: Operation,
        cost: impl Fn(&Hold) -> u32,
    ) -> Result<(), Unavailable> {
        let (places, charges): (SmallVec<[usize; 1]>, SmallVec<[BucketRequest<'_>; 1]>) = self
            .taken
            .iter()
            .enumerate()
            .map(|(place, taken)| (place, taken.debit(cost(taken))))
            .filter(|(_, charge)| charge.cost > 0)
            .unzip();
        if charges.is_empty() {
            return Ok(());
        }
        let on_error = self.on_error;
        let is_local = self.decision.is_local();
        let verdict = if is_local {
            self.guard.shared.local.apply(operation, &charges)
        } else {
            let verdict = self.guard.apply(operation, &charges, || on_error).await?;
            if operation == Operation::Refund {
                // As much less as the store has counted less.
                let local = &self.guard.shared.local;
                let mut given_back: SmallVec<[BucketRequest<'_>; 1]> = SmallVec::new();
                for (place, charge) in places.iter().zip(&charges) {
                    let taken = &self.taken[*place];
                    let Some(receipt) = taken.mirrored else { continue };
                    let kept = taken.cost.saturating_sub(charge.cost);
                    let clamp = |units| local.clamp_to_share(charge.quota, units);
                    let mut less = *charge;
                    less.cost = clamp(taken.cost).saturating_sub(clamp(kept));
                    less.receipt = receipt;
                    given_back.push(less);
                }
                local.mirror_undo(operation, &given_back);
            }
            if operation == Operation::Debit && self.guard.has_remote_store() {
                let _ = self.guard.shared.local.mirror(&charges);
            }
            verdict
        };
        let mut standings: SmallVec<[QuotaStatus; 1]> = self.decision.standings().into();
        for ((place, charge), level) in places.into_iter().zip(&charges).zip(verdict.levels()) {
            let name = self.taken[place].policy.clone();
            standings[place] = QuotaStatus::new(name, charge, level);
        }
        let decision = Decision::new(self.decision.is_allowed(), standings);
        self.decision = if is_local { decision.locally() } else { decision };
        Ok(())
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("decision", &self.decision).finish_non_exhaustive()
    }
}
