//! A request asks a guard for units of one or several keys. The guard takes either all of these units or none.

use std::{slice, time::Instant};

use smallvec::SmallVec;

use super::{
    RateGuard, Reservation, Unavailable,
    fast_path::log_denial,
    local_fallback::MirroredReceipts,
    requested_limit::{LimitBucket, PermitUse, RequestedLimit, RequestedPolicy},
};
use crate::{
    Decision, Key, OnError, Policy,
    store::{BucketRequest, Operation, Verdict},
    telemetry::mode::DecisionMode,
};

/// A request for units of one or several keys. [`RateGuard::request`] returns a request.
///
/// By default, the guard takes one unit of each key. [`cost`](Self::cost) sets another number. The guard admits the
/// request if all quotas of all keys have room. Otherwise, the guard denies the request and takes no units.
///
/// ```
/// # use actix_rateguard_core::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// # let guard = RateGuard::in_memory();
/// let per_user = Policy::new("user", "5/second; 100/minute")?;
/// let per_tenant = Policy::new("tenant", "1000000/day")?;
/// let (user, tenant) = (Key::from("user-42"), Key::from("tenant-7"));
///
/// let request = guard.request(&per_user, &user).and(&per_tenant, &tenant).cost(4_096);
/// assert!(request.peek().await?.is_allowed());
/// let decision = request.check().await?;
/// assert_eq!((decision.policy(), decision.remaining()), ("user", 4));
/// assert_eq!(decision.statuses()[2].remaining(), 1_000_000 - 4_096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "a request does nothing until it is checked"]
pub struct Request<'a> {
    guard: &'a RateGuard,
    /// The failure mode for policies that do not set a failure mode. It is fixed when the request is created, so a
    /// change of the policies file does not affect the request.
    pub(super) default_on_error: OnError,
    pub(super) limits: SmallVec<[RequestedLimit<'a>; 1]>,
}

impl<'a> Request<'a> {
    pub(super) fn new(guard: &'a RateGuard) -> Self {
        Self { guard, default_on_error: guard.on_error(), limits: SmallVec::new() }
    }

    /// Sets the failure mode for policies of this request that do not set a failure mode. Default: the failure mode
    /// of the guard.
    #[doc(hidden)]
    pub fn default_on_error(mut self, on_error: OnError) -> Self {
        self.default_on_error = on_error;
        self
    }

    /// Adds `cost` units of a key to the request. The caller must have [hashed](RateGuard::hashed_key) the key
    /// already, and must have applied the [override](RateGuard::overridden_policy) of the key.
    #[doc(hidden)]
    pub fn and_hashed(mut self, policy: &'a Policy, key: Key, cost: u32) -> Self {
        self.push(RequestedPolicy::Own(policy), key, cost);
        self
    }

    fn push(&mut self, policy: RequestedPolicy<'a>, key: Key, cost: u32) {
        let variant = policy.variant_for(&key);
        self.limits.push(RequestedLimit {
            policy,
            key,
            cost,
            is_exempt_from_ban: false,
            variant,
            permit_use: PermitUse::RequireRoom,
        });
    }

    /// Excludes the requests in progress from the limit that was added last, because the caller already holds a permit
    /// of it.
    #[doc(hidden)]
    pub fn without_permit(mut self) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.permit_use = PermitUse::Ignore;
        }
        self
    }

    /// Adds one unit of `key` to the request. The guard checks this unit against `policy`.
    ///
    /// In Redis Cluster, one store call can use only the keys of one cluster slot. So on a cluster, the guard checks
    /// the keys of a request one after the other. If the store denies a key, the guard refunds the units of the keys
    /// that it checked before. No limit is exceeded, but until the refund, the taken units can cause the denial of
    /// another request.
    pub fn and(mut self, policy: &'a Policy, key: &Key) -> Self {
        let key = self.guard.hashed_key(key);
        let policy = match self.guard.overridden_policy(policy, &key) {
            None => RequestedPolicy::Own(policy),
            Some(overridden) => RequestedPolicy::Overridden { own: policy, policy: overridden },
        };
        self.push(policy, key, 1);
        self
    }

    /// Sets the number of units for the key that was added last. Default: 1.
    ///
    /// The guard always denies a request whose cost is above the [`max_cost`](crate::Quota::max_cost) of a quota (see
    /// [`is_too_costly`](Decision::is_too_costly)). A request with the cost 0 is denied only if the key is banned. For a
    /// quota on requests in progress, each request needs one permit, also if it costs nothing.
    pub fn cost(mut self, cost: u32) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.cost = cost;
        }
        self
    }

    /// Exempts the key that was added last from bans: the guard does not count a denial of this key as an offence.
    #[doc(hidden)]
    pub fn exempt_from_ban(mut self) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.is_exempt_from_ban = true;
        }
        self
    }

    /// Decides whether to admit the request, and takes the units if the request is admitted.
    ///
    /// If a policy limits the requests in progress, a permit must be free, but the request holds none.
    /// [`acquire`](Self::acquire) takes a permit.
    ///
    /// The check lasts at most as long as the [deadline](crate::RateGuardBuilder::deadline) of the guard. If a policy
    /// with a [ban](Policy::ban) denies the request, the guard also counts an offence, and starts a ban if the key has
    /// too many offences. A second deadline of the same length applies to the offence and the ban together.
    ///
    /// A guard that counts in memory needs no async runtime. A guard that counts in Redis Cluster or Upstash
    /// needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] if the store did not decide within the deadline. In the failure mode [`OnError::Local`],
    /// the method returns a decision instead of this error, because this process then decides in its memory.
    /// [`Unavailable::lets_pass`] returns whether the failure mode admits the request. After an error, it is possible
    /// that the store has taken the units.
    ///
    /// # Panics
    ///
    /// Panics if the guard counts in Redis Cluster or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn check(&self) -> Result<Decision, Unavailable> {
        let [RequestedLimit { policy, key, cost, is_exempt_from_ban, .. }] = &*self.limits else {
            return self.check_via_store().await;
        };
        match self.guard.check_fast(policy, key, *cost) {
            Some(decision) => Ok(decision),
            None => {
                let (is_exempt_from_ban, on_error) = (*is_exempt_from_ban, self.default_on_error);
                let check =
                    self.guard.check_via_store(policy, key, *cost, is_exempt_from_ban, on_error);
                Box::pin(check).await
            }
        }
    }

    /// Checks the request like [`check`](Self::check), but without the fast paths for checks of one quota.
    #[doc(hidden)]
    pub async fn check_via_store(&self) -> Result<Decision, Unavailable> {
        let check = async {
            let decision = self.apply(Operation::Check).await?;
            Ok(self.escalate(decision).await)
        };
        let check = self.record_check(check, |decision| decision);
        // The futures for a store call are large, so they are boxed. Otherwise the future of `check` would be just as
        // large, even if the fast path decides.
        if self.has_shadow_limits() {
            Box::pin(self.run_with_shadows(Operation::Check, check)).await
        } else {
            Box::pin(check).await
        }
    }

    /// Checks the request, and returns true if the request is admitted. If the store fails, the failure mode decides.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn allows(&self) -> bool {
        match self.check().await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        }
    }

    /// Returns the decision that [`check`](Self::check) would return now, but takes no units.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] if the store did not answer within the deadline. In the failure mode [`OnError::Local`],
    /// the method returns a decision instead of this error, because this process then decides in its memory.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn peek(&self) -> Result<Decision, Unavailable> {
        self.peeked(self.apply(Operation::Peek)).await
    }

    /// Removes the counts, permits, offences and bans that the keys of this request have under the policies of this
    /// request. The cost of the request has no effect.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] in every failure mode if the store did not answer within the deadline. It is possible
    /// that the store has removed the counts anyway.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn reset(&self) -> Result<(), Unavailable> {
        self.apply(Operation::Reset).await.map(|_| ())
    }

    /// Takes the units even if there is no room. Use this method for units that the client has already used. The
    /// returned decision always admits the request.
    ///
    /// The store counts units above the limit like units within the limit, with two exceptions:
    ///
    /// - For one debit, a sliding-window log ([`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow)) counts
    ///   at most as many units as its capacity. All units that were taken at the same time also expire together, so
    ///   further units would change no decision.
    /// - A token bucket counts its debt (the units that were taken without a token) in parts of a token. The debt
    ///   is at most [`Quota::MAX_DEBT`](crate::Quota::MAX_DEBT) parts, because the store cannot count more parts
    ///   exactly. This maximum is never less than the burst of the bucket.
    ///
    /// If the cost is above the [`max_cost`](crate::Quota::max_cost) of a sliding-window log, the guard debits the
    /// log in several store calls, and the deadline applies to each call separately.
    ///
    /// # Errors
    ///
    /// Returns [`Unavailable`] in every failure mode if the store did not answer within the deadline. It is possible
    /// that the store has debited some or all units anyway.
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn debit(&self) -> Result<Decision, Unavailable> {
        self.run_with_shadows(Operation::Debit, self.apply(Operation::Debit)).await
    }

    /// Checks the request like [`check`](Self::check), and returns a [`Reservation`] that can refund or correct the
    /// units.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`check`](Self::check).
    ///
    /// # Panics
    ///
    /// Panics in the same cases as [`check`](Self::check).
    pub async fn reserve(&self) -> Result<Reservation, Unavailable> {
        let reserve = async {
            let reservation = self.reserve_without_offence().await?;
            let decision = self.escalate(reservation.decision().clone()).await;
            Ok(reservation.with_decision(decision))
        };
        self.reserve_with_shadows(self.record_check(reserve, Reservation::decision)).await
    }

    /// Reserves the units for the policies that are not in shadow mode, and does not count a denial as an offence.
    /// `check_or_wait` uses this method, because the store denies a waiting request several times before there is
    /// room.
    pub(super) async fn reserve_without_offence(&self) -> Result<Reservation, Unavailable> {
        let buckets = self.buckets(Operation::Check);
        let sent_at = Instant::now();
        let StoreResult { decision, verdict, shares, mirrored } =
            self.apply_to(&buckets, Operation::Check).await?;
        let buckets = shares.unwrap_or(buckets);
        let mirrored = mirrored.into_iter().chain(std::iter::repeat(None));
        let receipts: SmallVec<[_; 1]> = verdict.receipts().zip(mirrored).collect();
        let on_error = self.on_error();
        let permit = self.permit_lease(&decision, &buckets, &receipts, sent_at);
        let receipts = receipts.into_iter();
        Ok(Reservation::new(self.guard, on_error, decision, &self.limits, &buckets, receipts)
            .with_permit(permit))
    }

    async fn apply(&self, operation: Operation) -> Result<Decision, Unavailable> {
        Ok(self.apply_to(&self.buckets(operation), operation).await?.decision)
    }

    /// Peeks at these buckets, which may have other costs than the request.
    pub(super) async fn peek_buckets(
        &self,
        buckets: &[LimitBucket<'_>],
    ) -> Result<Decision, Unavailable> {
        Ok(self.apply_to(buckets, Operation::Peek).await?.decision)
    }

    async fn apply_to<'b>(
        &self,
        buckets: &[LimitBucket<'b>],
        operation: Operation,
    ) -> Result<StoreResult<'b>, Unavailable> {
        let requests: SmallVec<[BucketRequest<'_>; 1]> =
            buckets.iter().map(|it| it.request).collect();
        let local = &self.guard.shared.local;
        let result = match self.guard.apply(operation, &requests, || self.on_error()).await {
            Ok(verdict) => {
                let decision = self.decision(buckets, &verdict);
                // In every failure mode, the guard also counts the units in this process's memory. While the store is
                // overloaded, the guard decides with these counts, whatever the failure mode is.
                let mirrored =
                    if self.guard.has_remote_store() && verdict.mode() == DecisionMode::Store {
                        self.mirror(operation, buckets, &verdict)
                    } else {
                        MirroredReceipts::new()
                    };
                StoreResult { decision, verdict, shares: None, mirrored }
            }
            // A reset or debit in this process's memory would not change the counts of the other processes, so the
            // caller gets the error.
            Err(unavailable) if matches!(operation, Operation::Reset | Operation::Debit) => {
                return Err(unavailable);
            }
            Err(unavailable) if unavailable.is_local() => {
                let shares: SmallVec<[LimitBucket<'b>; 1]> = buckets
                    .iter()
                    .map(|it| LimitBucket { request: local.share(&it.request), ..*it })
                    .collect();
                let requests: SmallVec<[BucketRequest<'_>; 1]> =
                    shares.iter().map(|it| it.request).collect();
                let verdict = local.apply(operation, &requests);
                let decision = self.decision(&shares, &verdict).locally();
                StoreResult {
                    decision,
                    verdict,
                    shares: Some(shares),
                    mirrored: MirroredReceipts::new(),
                }
            }
            Err(unavailable) => return Err(unavailable),
        };
        if operation == Operation::Check {
            log_denial(&result.decision);
        }
        Ok(result)
    }

    /// Repeats an operation in this process's memory after the store has completed it. So the counts in this memory do
    /// not start from zero if the store fails later.
    fn mirror(
        &self,
        operation: Operation,
        buckets: &[LimitBucket<'_>],
        verdict: &Verdict,
    ) -> MirroredReceipts {
        let local = &self.guard.shared.local;
        for (bucket, status) in buckets.iter().zip(verdict.statuses()) {
            if bucket.request.check_only
                && !bucket.is_quota
                && let Some(ban) = status.retry_after
                && let requested = &self.limits[bucket.limit]
                && let Some(escalation) = requested.policy.escalation()
            {
                self.guard.ban_locally(escalation, &requested.key, ban);
            }
        }
        if operation == Operation::Check && !verdict.is_allowed() {
            return MirroredReceipts::new();
        }
        let requests: SmallVec<[BucketRequest<'_>; 1]> =
            buckets.iter().map(|it| it.request).collect();
        match operation {
            Operation::Check | Operation::Debit => local.mirror(&requests),
            Operation::Reset => {
                local.mirror_undo(Operation::Reset, &requests);
                MirroredReceipts::new()
            }
            Operation::Peek
            | Operation::Refund
            | Operation::Renew
            | Operation::Lease
            | Operation::Return => MirroredReceipts::new(),
        }
    }

    pub(super) fn guard(&self) -> &'a RateGuard {
        self.guard
    }

    pub(super) fn limits(&self) -> slice::Iter<'_, RequestedLimit<'a>> {
        self.limits.iter()
    }

    /// Returns the failure mode of this policy, or the default of the request if the policy sets no failure mode.
    pub(super) fn own_on_error(&self, policy: &Policy) -> OnError {
        policy.own_on_error().unwrap_or(self.default_on_error)
    }

    /// Returns the strictest failure mode of the policies that are not in shadow mode. `Closed` is the strictest
    /// mode, then `Local`, then `Open`.
    pub(super) fn on_error(&self) -> OnError {
        let enforced = self.limits().filter(|requested| !requested.policy.is_in_shadow());
        let is_any = |on_error| {
            enforced.clone().any(|requested| self.own_on_error(&requested.policy) == on_error)
        };
        [OnError::Closed, OnError::Local]
            .into_iter()
            .find(|it| is_any(*it))
            .unwrap_or(OnError::Open)
    }
}

/// The result of an operation that ran in the store or in this process's memory.
struct StoreResult<'a> {
    decision: Decision,
    verdict: Verdict,
    /// If the guard decided in this process's memory, this list has the buckets, each with this process's share of
    /// the quota. `None` if the store decided.
    shares: Option<SmallVec<[LimitBucket<'a>; 1]>>,
    /// The receipts of the units that the guard also took in this process's memory. A refund of these units needs the
    /// receipts.
    mirrored: MirroredReceipts,
}
