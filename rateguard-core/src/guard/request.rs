//! What is asked of a guard: so much of one key, or of several at once, all or nothing.

use std::slice;

use smallvec::SmallVec;

use super::{
    RateGuard, Reservation, Unavailable,
    fast_path::log_denial,
    local_fallback::MirroredReceipts,
    requested_limit::{LimitCharge, RequestedLimit},
};
use crate::{
    Decision, Key, OnError, Policy,
    store::{BucketRequest, Operation, Verdict},
    telemetry::mode::DecisionMode,
};

/// A request to be decided, made by [`RateGuard::request`].
///
/// It asks for one unit of one key, unless it is told otherwise, and of several keys, if there are several. It is admitted
/// if all of them have room, and otherwise takes nothing of any.
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
/// assert_eq!(decision.standings()[2].remaining(), 1_000_000 - 4_096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is asked until it is checked"]
pub struct Request<'a> {
    guard: &'a RateGuard,
    /// What happens without an answer where a policy does not say it, as it was said when the request was made.
    default_on_error: OnError,
    pub(super) limits: SmallVec<[RequestedLimit<'a>; 1]>,
}

impl<'a> Request<'a> {
    pub(super) fn new(guard: &'a RateGuard) -> Self {
        Self { guard, default_on_error: guard.on_error(), limits: SmallVec::new() }
    }

    /// What happens without an answer where a policy does not say it.
    #[doc(hidden)]
    pub fn default_on_error(mut self, on_error: OnError) -> Self {
        self.default_on_error = on_error;
        self
    }

    /// Asks for so much, too, of a key as it stands in the store.
    #[doc(hidden)]
    pub fn and_hashed(mut self, policy: &'a Policy, key: Key, cost: u32) -> Self {
        let side = policy.variant_for(&key);
        self.limits.push(RequestedLimit { policy, key, cost, is_exempt_from_ban: false, side });
        self
    }

    /// Asks for a unit of this key under this policy, too.
    ///
    /// In Redis Cluster, where no single step reaches two keys, one key is asked after the other, and when one is denied,
    /// the earlier ones get back what was taken of them. Then no more than a limit is admitted still, but a request that
    /// comes in between may find taken what is about to be given back.
    pub fn and(self, policy: &'a Policy, key: &Key) -> Self {
        let key = self.guard.hashed_key(key);
        self.and_hashed(policy, key, 1)
    }

    /// How many units are asked for, of the key that was named last. Default: 1.
    ///
    /// A cost above a quota's [`max_cost`](crate::Quota::max_cost) is denied, however long it waits; see
    /// [`is_too_costly`](Decision::is_too_costly). A cost of 0 is always admitted, but to who is banned.
    pub fn cost(mut self, cost: u32) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.cost = cost;
        }
        self
    }

    /// Being denied of the key that was named last is no offence that leads to a ban.
    #[doc(hidden)]
    pub fn exempt_from_ban(mut self) -> Self {
        if let Some(last) = self.limits.last_mut() {
            last.is_exempt_from_ban = true;
        }
        self
    }

    /// Decides, and takes what was asked for if it is admitted.
    ///
    /// Under a policy with a [ban](Policy::ban), a denial is then counted, and may begin the ban, for as long once more at
    /// the most. It takes no longer than the guard's deadline. A guard on Redis needs a Tokio runtime around it, as actix-web
    /// is; one in memory needs none.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time. It says whether the policy lets the request pass then.
    /// The store may yet have taken it.
    ///
    /// # Panics
    ///
    /// A guard on Redis, where there is no Tokio runtime with its timer enabled.
    pub async fn check(&self) -> Result<Decision, Unavailable> {
        if let [RequestedLimit { policy, key, cost, .. }] = &*self.limits
            && let Some(decision) = self.guard.check_fast(policy, key, *cost)
        {
            return Ok(decision);
        }
        self.check_via_store().await
    }

    /// The same, where it can't be decided at once.
    #[doc(hidden)]
    pub async fn check_via_store(&self) -> Result<Decision, Unavailable> {
        let check = async {
            let decision = self.apply(Operation::Check).await?;
            Ok(self.escalate(decision).await)
        };
        let check = self.seen(check, |decision| decision);
        // On the heap, as it is large, and the usual check in memory would carry its place around for nothing.
        if self.has_shadow_limits() {
            Box::pin(self.run_with_shadows(Operation::Check, check)).await
        } else {
            Box::pin(check).await
        }
    }

    /// Whether the request may go on: [`check`](Self::check), with what the policy says for when the store does not
    /// answer.
    pub async fn allows(&self) -> bool {
        match self.check().await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        }
    }

    /// Says what [`check`](Self::check) would, and takes nothing.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn peek(&self) -> Result<Decision, Unavailable> {
        self.peeked(self.apply(Operation::Peek)).await
    }

    /// Forgets what was counted of these keys under these policies, and their bans.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reset(&self) -> Result<(), Unavailable> {
        self.apply(Operation::Reset).await.map(|_| ())
    }

    /// Takes what is asked for whether there is room for it or not, for what has been used already. What is beyond the
    /// limit counts like the rest, but in a log, where all of it would leave at one moment. A token bucket owes no more than
    /// can be counted exactly, [`Quota::MAX_DEBT`](crate::Quota::MAX_DEBT), which is never less than its burst; what is
    /// charged beyond it is not counted.
    ///
    /// More than [`max_cost`](crate::Quota::max_cost) is charged to a log in several steps, each within the deadline.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if the store did not answer in time. It may yet have been charged, or a part of it.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn debit(&self) -> Result<Decision, Unavailable> {
        self.run_with_shadows(Operation::Debit, self.apply(Operation::Debit)).await
    }

    /// Decides as [`check`](Self::check) does, so that what was taken can be given back or corrected.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub async fn reserve(&self) -> Result<Reservation, Unavailable> {
        let reserve = async {
            let reservation = self.try_to_reserve().await?;
            let decision = self.escalate(reservation.decision().clone()).await;
            Ok(reservation.with_decision(decision))
        };
        self.reserve_with_shadows(self.seen(reserve, Reservation::decision)).await
    }

    /// The same for one who waits: being denied meanwhile is no offence.
    pub(super) async fn try_to_reserve(&self) -> Result<Reservation, Unavailable> {
        let charges = self.charges(Operation::Check);
        let StoreResult { decision, verdict, shares, mirrored } =
            self.apply_to(&charges, Operation::Check).await?;
        let charges = shares.unwrap_or(charges);
        let mirrored = mirrored.into_iter().chain(std::iter::repeat(None));
        let receipts = verdict.receipts().zip(mirrored);
        let on_error = self.on_error();
        Ok(Reservation::new(self.guard, on_error, decision, &self.limits, &charges, receipts))
    }

    async fn apply(&self, operation: Operation) -> Result<Decision, Unavailable> {
        Ok(self.apply_to(&self.charges(operation), operation).await?.decision)
    }

    async fn apply_to<'b>(
        &self,
        charges: &[LimitCharge<'b>],
        operation: Operation,
    ) -> Result<StoreResult<'b>, Unavailable> {
        let charge_list: SmallVec<[BucketRequest<'_>; 1]> =
            charges.iter().map(|it| it.charge).collect();
        let local = &self.guard.shared.local;
        let applied = match self.guard.apply(operation, &charge_list, || self.on_error()).await {
            Ok(verdict) => {
                let decision = self.decision(charges, &verdict);
                // Local decisions begin with what the store has decided, also under congestion, whatever the failure mode.
                let mirrored =
                    if self.guard.has_remote_store() && verdict.mode() == DecisionMode::Store {
                        self.mirror(operation, charges, &verdict)
                    } else {
                        MirroredReceipts::new()
                    };
                StoreResult { decision, verdict, shares: None, mirrored }
            }
            // What is to be forgotten or charged cannot be so for other processes.
            Err(unavailable) if matches!(operation, Operation::Reset | Operation::Debit) => {
                return Err(unavailable);
            }
            Err(unavailable) if unavailable.is_local() => {
                let shares: SmallVec<[LimitCharge<'b>; 1]> = charges
                    .iter()
                    .map(|it| LimitCharge { charge: local.share(&it.charge), ..*it })
                    .collect();
                let list: SmallVec<[BucketRequest<'_>; 1]> =
                    shares.iter().map(|it| it.charge).collect();
                let verdict = local.apply(operation, &list);
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
            log_denial(&applied.decision);
        }
        Ok(applied)
    }

    /// Does for local decisions what the store has done.
    fn mirror(
        &self,
        operation: Operation,
        charges: &[LimitCharge<'_>],
        verdict: &Verdict,
    ) -> MirroredReceipts {
        let local = &self.guard.shared.local;
        for (of_limit, level) in charges.iter().zip(verdict.levels()) {
            if of_limit.charge.check_only
                && let Some(ban) = level.retry_after
                && let asked = &self.limits[of_limit.limit]
                && let Some(escalation) = asked.policy.escalation()
            {
                self.guard.ban_locally(escalation, &asked.key, ban);
            }
        }
        if operation == Operation::Check && !verdict.is_allowed() {
            return MirroredReceipts::new();
        }
        let list: SmallVec<[BucketRequest<'_>; 1]> = charges.iter().map(|it| it.charge).collect();
        match operation {
            Operation::Check | Operation::Debit => local.mirror(&list),
            Operation::Reset => {
                local.mirror_undo(Operation::Reset, &list);
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

    /// What this policy says, or else the guard.
    pub(super) fn own_on_error(&self, policy: &Policy) -> OnError {
        policy.own_on_error().unwrap_or(self.default_on_error)
    }

    /// The strictest of what the policies say.
    pub(super) fn on_error(&self) -> OnError {
        let enforced = self.limits().filter(|asked| !asked.policy.is_in_shadow());
        let is_any =
            |on_error| enforced.clone().any(|asked| self.own_on_error(asked.policy) == on_error);
        [OnError::Closed, OnError::Local]
            .into_iter()
            .find(|it| is_any(*it))
            .unwrap_or(OnError::Open)
    }
}

/// What came of an operation.
struct StoreResult<'a> {
    decision: Decision,
    verdict: Verdict,
    /// What was asked for instead in memory, if the store did not answer.
    shares: Option<SmallVec<[LimitCharge<'a>; 1]>>,
    /// What was taken in memory after the store, to be given back there, too.
    mirrored: MirroredReceipts,
}
