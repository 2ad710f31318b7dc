//! Enforces limits on an HTTP request. The middleware and the macro attribute both use this module.

use std::rc::Rc;

use actix_rateguard_core::{
    RateGuard,
    adapter::{PolicySet, ShadowHolds, ThrottledLog},
};
use actix_web::{HttpRequest, http::StatusCode};
use smallvec::SmallVec;

use crate::{
    Decision, Request, Reservation, Unavailable, UndecidedReason,
    limit_check::{LimitCheck, LimitChecks},
    on_denied::OnDeniedRef,
    request_state::RequestState,
    response::Rejection,
};

/// Builds one request to the guard that contains all checks.
fn build_request<'a>(
    guard: &'a RateGuard,
    policy_set: &PolicySet,
    checks: &'a [LimitCheck<'_>],
) -> Request<'a> {
    let empty = guard.empty_request().default_on_error(policy_set.on_error);
    checks.iter().fold(empty, |request, check| {
        let request = request.and_hashed(&check.policy, check.key, check.cost);
        // A client with too many offences is banned. If a limit counts only some responses, the guard may later
        // refund the units of other requests. A denial may be due to these units, so it is not an offence. Instead,
        // each response that counts is an offence. For a key that several clients share, the guard counts no
        // offences.
        if check.counts_always() && !check.is_shared { request } else { request.exempt_from_ban() }
    })
}

/// Runs all checks for an HTTP request, and admits or rejects the request.
///
/// Stores the decision in the state of the HTTP request. The handler can read the decision there, and the headers
/// of the response report the decision.
///
/// # Errors
///
/// [`Rejection`] in two cases: a limit denies the request, or a limit fails closed because the store does not
/// answer.
pub(crate) async fn enforce<'a>(
    guard: &'a RateGuard,
    policy_set: &PolicySet,
    mut checks: LimitChecks<'a>,
    request: &HttpRequest,
) -> Result<Admission<'a>, Rejection> {
    checks.iter_mut().for_each(|it| it.key = guard.hashed_key(&it.key));
    if checks.is_empty() {
        return Ok(Admission::not_limited(guard));
    }
    if checks.iter().all(|it| it.policy.is_in_shadow()) {
        // A limit in shadow mode does not affect the response, so the request does not wait for the store.
        let holds = build_request(guard, policy_set, &checks).check_shadow_only();
        let state = RequestState::of(request);
        state.undecided.set(UndecidedReason::Shadow);
        let shadow_holds = holds.map(|holds| (state, holds));
        return Ok(Admission { checks, shadow_holds, ..Admission::not_limited(guard) });
    }
    if let [check] = &*checks
        && check.counts_always()
        && let Some(decision) = guard.check_fast(&check.policy, &check.key, check.cost)
    {
        return Admission::from_decision(guard, checks, decision, None, request);
    }
    // A request that `check_fast` decides does not need this large future. So the future is boxed, which keeps the
    // future of `enforce` small.
    match Box::pin(check_via_store(guard, policy_set, &checks)).await {
        Ok((decision, reservation)) => {
            Admission::from_decision(guard, checks, decision, reservation, request)
        }
        Err(unavailable) if unavailable.lets_pass() => {
            RequestState::of(request).undecided.set(UndecidedReason::StoreUnavailable);
            Ok(Admission::not_limited(guard))
        }
        Err(_) => Err(Rejection::Unavailable),
    }
}

/// Runs all checks with a call to the store. If a limit counts only some responses, the function reserves the
/// units, so that the guard can refund them after the response.
async fn check_via_store(
    guard: &RateGuard,
    policy_set: &PolicySet,
    checks: &[LimitCheck<'_>],
) -> Result<(Decision, Option<Box<Reservation>>), Unavailable> {
    let request = build_request(guard, policy_set, checks);
    if checks.iter().all(LimitCheck::counts_always) {
        return Ok((request.check_via_store().await?, None));
    }
    let reservation = Box::pin(request.reserve()).await?;
    Ok((reservation.decision().clone(), Some(reservation.into())))
}

/// An admitted HTTP request. After the handler has responded, the guard uses this value to refund and charge units.
pub(crate) struct Admission<'a> {
    guard: &'a RateGuard,
    checks: LimitChecks<'a>,
    /// The state of the request, and the index of the decision in that state. `None` if no limit has decided.
    decision: Option<(Rc<RequestState>, usize)>,
    /// The units that the guard refunds if the response does not make the request count.
    reservation: Option<Box<Reservation>>,
    /// The state of the request, and the units that the guard may have to refund to limits in shadow mode. `None` if
    /// the guard enforces at least one of the limits.
    shadow_holds: Option<(Rc<RequestState>, ShadowHolds)>,
}

impl<'a> Admission<'a> {
    /// Admits a request on which no limit has decided.
    pub(crate) fn not_limited(guard: &'a RateGuard) -> Self {
        let checks = SmallVec::new();
        Self { guard, checks, decision: None, reservation: None, shadow_holds: None }
    }

    /// Stores a decision in the state of the request. Admits the request if the decision allows the request, and
    /// otherwise rejects the request.
    fn from_decision(
        guard: &'a RateGuard,
        checks: LimitChecks<'a>,
        decision: Decision,
        reservation: Option<Box<Reservation>>,
        request: &HttpRequest,
    ) -> Result<Self, Rejection> {
        let state = RequestState::of(request);
        if decision.is_allowed() {
            let index = state.push(decision);
            let decision = Some((state, index));
            return Ok(Self { guard, checks, decision, reservation, shadow_holds: None });
        }
        let denied_by = checks.iter().find(|it| it.policy.name() == decision.policy());
        let on_denied = denied_by.and_then(|it| it.on_denied.as_ref()).map(OnDeniedRef::to_shared);
        let index = state.push(decision);
        Err(Rejection::Denied { state, index, on_denied })
    }

    /// Returns whether no limit has decided on the request.
    pub(crate) fn is_not_limited(&self) -> bool {
        self.decision.is_none()
    }

    /// Refunds or charges units after the handler has responded, when the status of the response is final.
    ///
    /// The function refunds the units of each limit for which this response does not count. It charges the penalty
    /// that the handler added. It bans the client if the client has had too many responses that count. Then it
    /// updates the decision in the state of the request.
    pub(crate) async fn on_response(&mut self, status: StatusCode) {
        if let Some((state, holds)) = self.shadow_holds.take() {
            holds.refund(|index| !self.checks[index].count.counts(status.as_u16()));
            // `take` removes the penalty from the state, so limits of an outer middleware do not charge it again.
            let penalty = state.penalty.take();
            if penalty > 0 {
                self.penalty_request(penalty).debit_shadow_only();
            }
        }
        let Some((state, index)) = &self.decision else { return };
        let penalty = state.penalty.take();
        if penalty == 0 && self.checks.iter().all(LimitCheck::counts_always) {
            return;
        }
        let Some(decision) = state.get(*index) else { return };
        let mut update = DecisionUpdate { decision, is_changed: false };
        let reservation = self.reservation.take();
        // Most requests do not need this large future. So the future is boxed, which keeps the future of
        // `on_response` small.
        Box::pin(self.settle(&mut update, reservation, penalty, status)).await;
        if update.is_changed {
            state.set(*index, update.decision);
        }
    }

    /// Builds a request to the guard that charges the penalty to each limit.
    fn penalty_request(&self, penalty: u32) -> Request<'_> {
        self.checks.iter().fold(self.guard.empty_request(), |request, check| {
            request.and_hashed(&check.policy, check.key, penalty)
        })
    }

    async fn settle(
        &self,
        update: &mut DecisionUpdate,
        reservation: Option<Box<Reservation>>,
        penalty: u32,
        status: StatusCode,
    ) {
        let counts = |index: usize| self.checks[index].count.counts(status.as_u16());
        if let Some(reservation) = reservation
            && !(0..self.checks.len()).all(counts)
        {
            let refund = reservation.refund_where(|index| !counts(index)).await;
            update.apply(refund, &REFUND_FAILURE);
        }
        if penalty > 0 {
            update.apply(self.penalty_request(penalty).debit().await, &PENALTY_FAILURE);
        }
        for (index, check) in self.checks.iter().enumerate() {
            if !check.counts_always()
                && !check.is_shared
                && counts(index)
                && let Some(ban) = self.guard.record_offence(&check.policy, &check.key).await
            {
                update.decision = update.decision.clone().banned(&check.policy, ban);
                update.is_changed = true;
            }
        }
    }

    /// Returns the current decision. The result is `None` if no limit has decided.
    pub(crate) fn decision(&self) -> Option<Decision> {
        let (state, index) = self.decision.as_ref()?;
        state.get(*index)
    }
}

/// The decision on a request. A refund or a charge after the response updates this decision.
struct DecisionUpdate {
    decision: Decision,
    is_changed: bool,
}

/// The log message for a refund or charge that failed after the response.
struct CleanupFailure {
    message: &'static str,
    log: ThrottledLog,
}

static REFUND_FAILURE: CleanupFailure = CleanupFailure {
    message: "failed to refund requests, so they count although their responses do not",
    log: ThrottledLog::new(),
};
static PENALTY_FAILURE: CleanupFailure =
    CleanupFailure { message: "failed to charge penalties", log: ThrottledLog::new() };

impl DecisionUpdate {
    /// Stores the decision that a refund or charge returned. If the refund or charge failed, logs the failure.
    fn apply(&mut self, result: Result<Decision, Unavailable>, failure: &CleanupFailure) {
        match result {
            Ok(decision) => {
                self.decision = decision;
                self.is_changed = true;
            }
            Err(unavailable) => {
                if let Some(requests) = failure.log.try_emit() {
                    log::warn!(
                        target: "rateguard",
                        "{}: {} ({requests} requests since the last message of this kind)",
                        failure.message, unavailable.cause()
                    );
                }
            }
        }
    }
}
