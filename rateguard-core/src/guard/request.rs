//! A request to a guard for units of one or several keys. The guard takes all of the units or none.

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
/// The guard takes one unit of each key unless [`cost`](Self::cost) sets another number. It admits the request if all
/// quotas of all keys have room, and otherwise takes no unit of any key.
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
    /// The failure mode for policies that do not set one. It stays the same if a changed policies file sets another
    /// one.
    default_on_error: OnError,
    pub(super) limits: SmallVec<[RequestedLimit<'a>; 1]>,
}

impl<'a> Request<'a> {
    pub(super) fn new(guard: &'a RateGuard) -> Self {
        Self { guard, default_on_error: guard.on_error(), limits: SmallVec::new() }
    }

    /// Sets the failure mode for policies that do not set one. Default: the failure mode of the guard.
    #[doc(hidden)]
    pub fn default_on_error(mut self, on_error: OnError) -> Self {
        self.default_on_error = on_error;
        self
    }

    /// Adds `cost` units of a key that the caller has already [hashed](RateGuard::hashed_key).
    #[doc(hidden)]
    pub fn and_hashed(mut self, policy: &'a Policy, key: Key, cost: u32) -> Self {
        let variant = policy.variant_for(&key);
        self.limits.push(RequestedLimit { policy, key, cost, is_exempt_from_ban: false, variant });
        self
    }

    /// Adds one unit of `key` against `policy`.
    ///
    /// In Redis Cluster, one store call reaches only keys of the same cluster slot, so the guard checks one key after
    /// the other. If the store denies one key, the guard refunds the units of the earlier keys. No limit is exceeded,
    /// but the store may deny another request because of units that the guard refunds a moment later.
    pub fn and(self, policy: &'a Policy, key: &Key) -> Self {
        let key = self.guard.hashed_key(key);
        self.and_hashed(policy, key, 1)
    }

    /// Sets the number of units of the key that was added last. Default: 1.
    ///
    /// The guard always denies a cost above the [`max_cost`](crate::Quota::max_cost) of a quota; see
    /// [`is_too_costly`](Decision::is_too_costly). It admits a cost of 0 unless the key is banned.
    pub fn cost(mut self, cost: u32) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.cost = cost;
        }
        self
    }

    /// Excludes denials of the key that was added last from the offences that lead to a ban.
    #[doc(hidden)]
    pub fn exempt_from_ban(mut self) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.is_exempt_from_ban = true;
        }
        self
    }

    /// Decides on the request, and takes the units if the decision admits the request.
    ///
    /// The check ends at the [deadline](crate::RateGuardBuilder::deadline) of the guard. If a policy with a
    /// [ban](Policy::ban) denies the request, the guard takes up to one deadline more to count the offence and to start
    /// a ban.
    ///
    /// A guard that counts in memory needs no async runtime. A guard on Redis or Upstash needs a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not decide within the deadline, unless the failure mode is [`OnError::Local`].
    /// [`Unavailable::lets_pass`] returns whether the failure mode admits the request. After the error, the store may
    /// still have taken the units.
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

    /// Checks the request like [`check`](Self::check), but without the fast path.
    #[doc(hidden)]
    pub async fn check_via_store(&self) -> Result<Decision, Unavailable> {
        let check = async {
            let decision = self.apply(Operation::Check).await?;
            Ok(self.escalate(decision).await)
        };
        let check = self.record_check(check, |decision| decision);
        // These futures are large, so they are boxed. Otherwise the future of `check` would be large even on the fast
        // path.
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

    /// Returns the decision that [`check`](Self::check) would make, and takes no units.
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

    /// Removes the counts, offences and bans of the keys for the policies of this request. The cost has no effect.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. The store may still have removed the counts.
    /// The failure mode has no effect on a reset.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reset(&self) -> Result<(), Unavailable> {
        self.apply(Operation::Reset).await.map(|_| ())
    }

    /// Takes the units whether or not there is room, because the client has used them already. The decision always
    /// admits the request.
    ///
    /// The store counts units above the limit like all other units, with two exceptions:
    ///
    /// - A sliding-window log ([`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow)) counts at most as many
    ///   units of one debit as its capacity. Further units would expire at the same time, so they would change no
    ///   decision.
    /// - A token bucket owes at most [`Quota::MAX_DEBT`](crate::Quota::MAX_DEBT) units, the largest debt that the store
    ///   counts exactly. The largest debt is never less than the burst of the bucket.
    ///
    /// If the cost is above the [`max_cost`](crate::Quota::max_cost) of a sliding-window log, the guard debits the log
    /// in several store calls, each within one deadline.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer within the deadline. The store may still have debited all or a part
    /// of the units. The failure mode has no effect on a debit.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn debit(&self) -> Result<Decision, Unavailable> {
        self.run_with_shadows(Operation::Debit, self.apply(Operation::Debit)).await
    }

    /// Checks the request like [`check`](Self::check), and returns a [`Reservation`] that can refund or correct the
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

    /// Reserves the units of the enforced policies, and does not count a denial as an offence. `check_or_wait` needs
    /// this, because a request that waits for room is denied until there is room.
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
                // The guard mirrors the result in every failure mode, because it decides locally in every mode while
                // the store is overloaded.
                let mirrored =
                    if self.guard.has_remote_store() && verdict.mode() == DecisionMode::Store {
                        self.mirror(operation, buckets, &verdict)
                    } else {
                        MirroredReceipts::new()
                    };
                StoreResult { decision, verdict, shares: None, mirrored }
            }
            // A reset or debit in this process alone would have no effect on the other processes, so the caller gets
            // the error.
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

    /// Repeats an operation of the store in this process's memory. Local decisions then start from these counts and not
    /// from zero.
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

    /// The failure mode of this policy, or the default of the request if the policy sets none.
    pub(super) fn own_on_error(&self, policy: &Policy) -> OnError {
        policy.own_on_error().unwrap_or(self.default_on_error)
    }

    /// The strictest failure mode of the enforced policies: `Closed` is stricter than `Local`, and `Local` than `Open`.
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

/// The result of an operation that ran in the store or in this process's memory.
struct StoreResult<'a> {
    decision: Decision,
    verdict: Verdict,
    /// The buckets of the local decision, with this process's share of each quota. `None` if the store has decided.
    shares: Option<SmallVec<[LimitBucket<'a>; 1]>>,
    /// The receipts of the units that the guard also took in this process's memory. A refund needs them to return these
    /// units.
    mirrored: MirroredReceipts,
}
