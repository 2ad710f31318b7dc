//! A request to a guard: units of one key, or of several keys, all or nothing.

use std::slice;

use smallvec::SmallVec;

use super::{
    RateGuard, Reservation, Unavailable,
    fast_path::log_denial,
    local_fallback::MirroredReceipts,
    requested_limit::{LimitBucket, RequestedLimit},
};
use crate::{
    Decision, Key, OnError, Policy,
    store::{BucketRequest, Operation, Verdict},
    telemetry::mode::DecisionMode,
};

/// A request for units of one or several keys, made by [`RateGuard::request`].
///
/// It takes one unit of each key unless [`cost`](Self::cost) sets another number. It is admitted if all quotas of all
/// keys have room; otherwise it takes nothing of any key.
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
    /// The failure mode of policies that do not set one, as it was when the request was made.
    default_on_error: OnError,
    pub(super) limits: SmallVec<[RequestedLimit<'a>; 1]>,
}

impl<'a> Request<'a> {
    pub(super) fn new(guard: &'a RateGuard) -> Self {
        Self { guard, default_on_error: guard.on_error(), limits: SmallVec::new() }
    }

    /// Sets the failure mode of policies that do not set one. Default: that of the guard.
    #[doc(hidden)]
    pub fn default_on_error(mut self, on_error: OnError) -> Self {
        self.default_on_error = on_error;
        self
    }

    /// Adds units of a key that is [hashed](RateGuard::hashed_key) already.
    #[doc(hidden)]
    pub fn and_hashed(mut self, policy: &'a Policy, key: Key, cost: u32) -> Self {
        let variant = policy.variant_for(&key);
        self.limits.push(RequestedLimit { policy, key, cost, is_exempt_from_ban: false, variant });
        self
    }

    /// Adds one unit of `key` under `policy`.
    ///
    /// In Redis Cluster, one step reaches only keys of the same slot, so the guard checks one key after the other. If
    /// one key is denied, the units of the earlier keys are refunded. No limit is exceeded, but another request may be
    /// denied because of units that are refunded a moment later.
    pub fn and(self, policy: &'a Policy, key: &Key) -> Self {
        let key = self.guard.hashed_key(key);
        self.and_hashed(policy, key, 1)
    }

    /// Sets the number of units of the key that was added last. Default: 1.
    ///
    /// A cost above the [`max_cost`](crate::Quota::max_cost) of a quota is always denied; see
    /// [`is_too_costly`](Decision::is_too_costly). A cost of 0 is admitted unless the key is banned.
    pub fn cost(mut self, cost: u32) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.cost = cost;
        }
        self
    }

    /// Does not count a denial of the key that was added last as an offence that leads to a ban.
    #[doc(hidden)]
    pub fn exempt_from_ban(mut self) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.is_exempt_from_ban = true;
        }
        self
    }

    /// Decides on the request, and takes its units if it is admitted.
    ///
    /// It ends at the [deadline](crate::RateGuardBuilder::deadline) of the guard. A denial under a policy with a
    /// [ban](Policy::ban) is then counted as an offence and may start the ban, which takes up to one deadline more.
    ///
    /// A guard in memory needs no runtime. A guard on Redis or Upstash needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not decide within the deadline, unless the failure mode is [`OnError::Local`].
    /// [`Unavailable::lets_pass`] returns whether the failure mode admits the request. The store may still have taken
    /// the units.
    ///
    /// # Panics
    ///
    /// Panics if the guard is on Redis or Upstash and there is no Tokio runtime with its timer enabled.
    pub async fn check(&self) -> Result<Decision, Unavailable> {
        if let [RequestedLimit { policy, key, cost, .. }] = &*self.limits
            && let Some(decision) = self.guard.check_fast(policy, key, *cost)
        {
            return Ok(decision);
        }
        self.check_via_store().await
    }

    /// The same as [`check`](Self::check), without the fast path.
    #[doc(hidden)]
    pub async fn check_via_store(&self) -> Result<Decision, Unavailable> {
        let check = async {
            let decision = self.apply(Operation::Check).await?;
            Ok(self.escalate(decision).await)
        };
        let check = self.record_check(check, |decision| decision);
        // Boxed, because these futures are large, and `check` would reserve their size also for the fast path.
        if self.has_shadow_limits() {
            Box::pin(self.run_with_shadows(Operation::Check, check)).await
        } else {
            Box::pin(check).await
        }
    }

    /// Checks the request and returns whether it is admitted. If the store fails, the failure mode decides.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn allows(&self) -> bool {
        match self.check().await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        }
    }

    /// Returns the decision that [`check`](Self::check) would make, and takes nothing.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline, unless the failure mode is [`OnError::Local`].
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn peek(&self) -> Result<Decision, Unavailable> {
        self.peeked(self.apply(Operation::Peek)).await
    }

    /// Removes the counts of these keys under these policies, their offences and their bans. The cost has no effect.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. It may still have removed them. A failure mode
    /// has no effect on a reset.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reset(&self) -> Result<(), Unavailable> {
        self.apply(Operation::Reset).await.map(|_| ())
    }

    /// Takes the units whether or not there is room, because they have been used already. The decision is always an
    /// admission.
    ///
    /// Units above the limit count like all others, with two exceptions:
    ///
    /// - A log ([`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow)) counts at most its capacity of one
    ///   debit. Further units would expire at the same time, so they would change no decision.
    /// - A token bucket owes at most [`Quota::MAX_DEBT`](crate::Quota::MAX_DEBT) units, the most that it counts
    ///   exactly. This is never less than its burst.
    ///
    /// A cost above [`max_cost`](crate::Quota::max_cost) is debited from a log in several steps, each within one
    /// deadline.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. It may still have debited the units, or a part
    /// of them. A failure mode has no effect on a debit.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn debit(&self) -> Result<Decision, Unavailable> {
        self.run_with_shadows(Operation::Debit, self.apply(Operation::Debit)).await
    }

    /// Checks the request like [`check`](Self::check), and returns a [`Reservation`] that can refund or correct its
    /// units.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reserve(&self) -> Result<Reservation, Unavailable> {
        let reserve = async {
            let reservation = self.reserve_without_offence().await?;
            let decision = self.escalate(reservation.decision().clone()).await;
            Ok(reservation.with_decision(decision))
        };
        self.reserve_with_shadows(self.record_check(reserve, Reservation::decision)).await
    }

    /// Reserves the enforced units, and does not count a denial as an offence: a request that waits for room may be
    /// denied.
    pub(super) async fn reserve_without_offence(&self) -> Result<Reservation, Unavailable> {
        let buckets = self.buckets(Operation::Check);
        let StoreResult { decision, verdict, shares, mirrored } =
            self.apply_to(&buckets, Operation::Check).await?;
        let buckets = shares.unwrap_or(buckets);
        let mirrored = mirrored.into_iter().chain(std::iter::repeat(None));
        let receipts = verdict.receipts().zip(mirrored);
        let on_error = self.on_error();
        Ok(Reservation::new(self.guard, on_error, decision, &self.limits, &buckets, receipts))
    }

    async fn apply(&self, operation: Operation) -> Result<Decision, Unavailable> {
        Ok(self.apply_to(&self.buckets(operation), operation).await?.decision)
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
                // Mirrored in every failure mode, because an overloaded store leads to local decisions in every mode.
                let mirrored =
                    if self.guard.has_remote_store() && verdict.mode() == DecisionMode::Store {
                        self.mirror(operation, buckets, &verdict)
                    } else {
                        MirroredReceipts::new()
                    };
                StoreResult { decision, verdict, shares: None, mirrored }
            }
            // A reset or debit in this process alone would have no effect on the other processes.
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

    /// Repeats in this process's memory what the store has done, so that local decisions do not start from nothing.
    fn mirror(
        &self,
        operation: Operation,
        buckets: &[LimitBucket<'_>],
        verdict: &Verdict,
    ) -> MirroredReceipts {
        let local = &self.guard.shared.local;
        for (bucket, status) in buckets.iter().zip(verdict.statuses()) {
            if bucket.request.check_only
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
            Operation::Peek | Operation::Refund => MirroredReceipts::new(),
        }
    }

    pub(super) fn guard(&self) -> &'a RateGuard {
        self.guard
    }

    pub(super) fn limits(&self) -> slice::Iter<'_, RequestedLimit<'a>> {
        self.limits.iter()
    }

    /// The failure mode of this policy, or else the default of the request.
    pub(super) fn own_on_error(&self, policy: &Policy) -> OnError {
        policy.own_on_error().unwrap_or(self.default_on_error)
    }

    /// The strictest failure mode of the enforced policies: `Closed`, then `Local`, then `Open`.
    pub(super) fn on_error(&self) -> OnError {
        let enforced = self.limits().filter(|requested| !requested.policy.is_in_shadow());
        let is_any = |on_error| {
            enforced.clone().any(|requested| self.own_on_error(requested.policy) == on_error)
        };
        [OnError::Closed, OnError::Local]
            .into_iter()
            .find(|it| is_any(*it))
            .unwrap_or(OnError::Open)
    }
}

/// The result of an operation, by the store or in memory.
struct StoreResult<'a> {
    decision: Decision,
    verdict: Verdict,
    /// The buckets of the local decision, under this process's share of the quotas, if the store failed.
    shares: Option<SmallVec<[LimitBucket<'a>; 1]>>,
    /// The receipts of the units that were mirrored in memory, which a refund also returns there.
    mirrored: MirroredReceipts,
}
