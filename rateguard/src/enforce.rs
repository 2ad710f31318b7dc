//! Enforces limits on an HTTP request. The middleware and the macro attribute both use this module.

use std::rc::Rc;

use actix_rateguard_core::{
    RateGuard,
    adapter::{PolicySet, ShadowHolds},
};
use actix_web::{HttpRequest, HttpResponse};
use smallvec::SmallVec;

use crate::{
    Decision, Rejection, Request, Reservation, Unavailable, UndecidedReason,
    added_units::AddedUnits,
    applied_limits::{RepeatedCheck, ResponseEffect},
    cors,
    count_rule::CountRuleRef,
    decision_update::{DecisionUpdate, PENALTY_FAILURE, REFUND_FAILURE},
    limit_check::{LimitCheck, LimitChecks},
    request_state::RequestState,
    response::EarlyResponse,
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
        // refund the units of other requests. These units may be the reason for a denial, so a denial is not an offence
        // of such a limit. Instead, each response that counts is an offence. For a key that several clients share, the
        // guard counts no offences.
        if check.counts_always() && !check.is_shared { request } else { request.exempt_from_ban() }
    })
}

/// Runs all checks for an HTTP request, and admits or rejects the request. A check of a limit that has already been
/// applied to this request uses the earlier decision.
///
/// Stores the decision in the state of the HTTP request. The handler can read the decision there, and the headers
/// of the response report the decision. If `is_preflight` is true, a CORS middleware may respond to the request, and
/// then the request does not count.
///
/// # Errors
///
/// [`EarlyResponse`] in two cases: a limit denies the request, or a limit fails closed because the store does not
/// answer.
pub(crate) async fn enforce<'a>(
    guard: &'a RateGuard,
    policy_set: &PolicySet,
    mut checks: LimitChecks<'a>,
    is_preflight: bool,
    request: &HttpRequest,
) -> Result<Admission<'a>, EarlyResponse<'a>> {
    if checks.is_empty() {
        return Ok(Admission::not_limited(guard));
    }
    checks.iter_mut().for_each(|it| it.key = guard.hashed_key(&it.key));
    let state = RequestState::of(request);
    let repeated = state.applied.split_repeated(guard, &mut checks);
    let mut admission = Admission {
        is_preflight,
        repeated,
        state: Some(Rc::clone(&state)),
        ..Admission::not_limited(guard)
    };
    if checks.is_empty() {
        return Ok(admission);
    }
    if checks.iter().all(|it| it.policy.is_in_shadow()) {
        // A limit in shadow mode does not affect the response, so the request does not wait for the store.
        let holds = build_request(guard, policy_set, &checks).check_shadow_only();
        return Ok(admission.in_shadow(&state, checks, holds));
    }
    if let [check] = &*checks
        && check.counts_always()
        && !is_preflight
        && let Some(decision) = guard.check_fast(&check.policy, &check.key, check.cost)
    {
        return admission.decided(&state, checks, decision, None);
    }
    // A request that `check_fast` decides does not need this large future. So the future is boxed, which keeps the
    // future of `enforce` small.
    match Box::pin(check_via_store(guard, policy_set, &checks, is_preflight)).await {
        Ok((decision, reservation)) => admission.decided(&state, checks, decision, reservation),
        Err(unavailable) if unavailable.lets_pass() => {
            state.add_undecided(UndecidedReason::StoreUnavailable);
            // This middleware has counted nothing, so the middlewares that made the first checks of these limits charge
            // the penalty.
            admission.repeated.iter_mut().for_each(RepeatedCheck::drop_extra_cost);
            Ok(admission)
        }
        Err(unavailable) => {
            // The store has failed for all limits of the request. The first limit that has an `on_reject` function
            // creates the response.
            let on_reject = checks.iter().find_map(|check| check.on_reject);
            Err(EarlyResponse::rejection(Rejection::Unavailable(unavailable), on_reject))
        }
    }
}

/// Runs all checks with a call to the store. If the request may not count, the function reserves the units, so that
/// the guard can refund them after the response.
async fn check_via_store(
    guard: &RateGuard,
    policy_set: &PolicySet,
    checks: &[LimitCheck<'_>],
    is_preflight: bool,
) -> Result<(Decision, Option<Box<Reservation>>), Unavailable> {
    let request = build_request(guard, policy_set, checks);
    if !is_preflight && checks.iter().all(LimitCheck::counts_always) {
        return Ok((request.check_via_store().await?, None));
    }
    let reservation = Box::pin(request.reserve()).await?;
    Ok((reservation.decision().clone(), Some(reservation.into())))
}

/// An admitted HTTP request. After the handler has responded, the guard uses this value to refund and charge units.
pub(crate) struct Admission<'a> {
    guard: &'a RateGuard,
    /// Whether the request looks like a CORS preflight, and a CORS middleware may respond to it.
    is_preflight: bool,
    checks: LimitChecks<'a>,
    /// The checks of limits that an outer middleware has already applied to the request.
    repeated: Vec<RepeatedCheck<'a>>,
    /// The index that the first of `checks` has in the list of the limits that have been applied to the request.
    first_applied: usize,
    /// The state of the request. `None` if no limit has been applied.
    state: Option<Rc<RequestState>>,
    /// The index of the decision in the state of the request. `None` if none of `checks` has decided.
    decision: Option<usize>,
    /// The units that the guard refunds if the response does not make the request count.
    reservation: Option<Box<Reservation>>,
    /// The units that the guard may have to refund to limits in shadow mode. `None` if the guard enforces at least
    /// one of the limits.
    shadow_holds: Option<ShadowHolds>,
}

type ResponseEffects = SmallVec<[ResponseEffect; 1]>;

impl<'a> Admission<'a> {
    /// Admits a request on which no limit has decided.
    pub(crate) fn not_limited(guard: &'a RateGuard) -> Self {
        Self {
            guard,
            is_preflight: false,
            checks: SmallVec::new(),
            repeated: Vec::new(),
            first_applied: 0,
            state: None,
            decision: None,
            reservation: None,
            shadow_holds: None,
        }
    }

    /// Admits a request whose limits are all in shadow mode.
    fn in_shadow(
        self,
        state: &RequestState,
        checks: LimitChecks<'a>,
        shadow_holds: Option<ShadowHolds>,
    ) -> Self {
        state.add_undecided(UndecidedReason::Shadow);
        let first_applied = state.applied.add(self.guard, &checks, &self.repeated);
        Self { checks, first_applied, shadow_holds, ..self }
    }

    /// Stores a decision in the state of the request. Admits the request if the decision allows the request, and
    /// otherwise rejects the request.
    fn decided(
        self,
        state: &RequestState,
        checks: LimitChecks<'a>,
        decision: Decision,
        reservation: Option<Box<Reservation>>,
    ) -> Result<Self, EarlyResponse<'a>> {
        if !decision.is_allowed() {
            let denied_by = checks.iter().find(|it| it.policy.name() == decision.policy());
            let on_reject = denied_by.and_then(|it| it.on_reject);
            // A limit that denies the request gets no entry, so only the repeated checks have a first entry.
            let first_entry = |index| self.repeated.iter().find_map(|it| it.first_entry_of(index));
            state.push(decision.clone(), (0..checks.len()).map(first_entry).collect());
            return Err(EarlyResponse::rejection(Rejection::Denied(decision), on_reject));
        }
        let first_applied = state.applied.add(self.guard, &checks, &self.repeated);
        let decision = Some(state.push(decision, state.applied.first_entries(first_applied)));
        Ok(Self { checks, first_applied, decision, reservation, ..self })
    }

    /// Returns whether [`on_response`](Self::on_response) needs the response that an error creates, or whether the
    /// status of the error is sufficient.
    ///
    /// The response is needed in these cases:
    ///
    /// - A limit has decided, so the response reports the decision.
    /// - A function of the application, or the detection of CORS, reads the header fields of the response.
    /// - The middleware of an inner limit has stored the response in the error. The error may then return another
    ///   status.
    pub(crate) fn needs_error_response(&self) -> bool {
        let repeated = self.repeated.iter().map(RepeatedCheck::count);
        let mut rules = self.checks.iter().map(|it| it.count).chain(repeated);
        self.combined_decision().is_some()
            || self.is_preflight
            || rules.any(CountRuleRef::reads_response)
            || self.state.as_ref().is_some_and(|state| state.has_stored_response.get())
    }

    /// Records that the middleware has stored the response in the error of an inner middleware.
    pub(crate) fn record_stored_response(&self) {
        if let Some(state) = &self.state {
            state.has_stored_response.set(true);
        }
    }

    /// Refunds or charges units after the handler has responded, when the response is final. Returns the unchanged
    /// response.
    ///
    /// The function refunds the units of each limit for which this response does not count. It charges the penalty
    /// that the handler added. It bans the client if the client has had too many responses that count. Then it
    /// updates the decision in the state of the request.
    pub(crate) async fn on_response<B>(&mut self, response: HttpResponse<B>) -> HttpResponse<B> {
        let Some(state) = self.state.clone() else { return response };
        let (response, body) = response.into_parts();
        let effects = self.effects(&state, &response);
        if let Some(holds) = self.shadow_holds.take() {
            holds.refund_except(|index| effects[index].kept);
            if effects.iter().any(|it| it.penalty > 0) {
                self.penalty_request(&effects).debit_shadow_only();
            }
        }
        if let Some(index) = self.decision
            && (self.has_refund(&effects)
                || effects.iter().any(|it| it.is_offence || it.penalty > 0))
            && let Some(decision) = state.get(index)
        {
            let mut update = DecisionUpdate { decision, is_changed: false };
            let reservation = self.reservation.take();
            // Most requests do not need this large future. So the future is boxed, which keeps the future of
            // `on_response` small.
            Box::pin(self.settle(&mut update, reservation, &effects)).await;
            if update.is_changed {
                state.set(index, update.decision);
            }
        }
        response.set_body(body)
    }

    /// Determines the effect of the response on each limit. For repeated checks, records the corrections that the outer
    /// middlewares make later.
    fn effects(&self, state: &RequestState, response: &HttpResponse<()>) -> ResponseEffects {
        let is_sent_by_cors = self.is_preflight && cors::is_sent_by_cors(response);
        if is_sent_by_cors {
            cors::warn_about_order();
        }
        let response = (!is_sent_by_cors).then_some(response);
        let penalty = state.penalty.get();
        let effect = |(index, check): (usize, &LimitCheck<'_>)| {
            state.applied.effect(self.first_applied + index, check, response, penalty)
        };
        let effects = self.checks.iter().enumerate().map(effect).collect();
        for repeated in &self.repeated {
            state.applied.record_corrections(repeated, response, penalty);
        }
        // The enforced limits of an outer middleware do not charge the penalty again. If all limits are in shadow mode,
        // the outer limits also charge the penalty, so that a trial of a limit does not weaken the enforced limits.
        if self.checks.iter().any(|it| !it.policy.is_in_shadow())
            || self.repeated.iter().any(|it| !it.is_in_shadow())
        {
            state.penalty.set(AddedUnits { charged: penalty.total, ..penalty });
        }
        effects
    }

    /// Returns whether the guard refunds units of at least one limit.
    fn has_refund(&self, effects: &[ResponseEffect]) -> bool {
        self.checks.iter().zip(effects).any(|(check, effect)| effect.kept < check.cost)
    }

    /// Builds a request to the guard that charges the penalties to the limits.
    fn penalty_request(&self, effects: &[ResponseEffect]) -> Request<'_> {
        let empty = self.guard.empty_request();
        self.checks.iter().zip(effects).fold(empty, |request, (check, effect)| {
            request.and_hashed(&check.policy, check.key, effect.penalty)
        })
    }

    async fn settle(
        &self,
        update: &mut DecisionUpdate,
        reservation: Option<Box<Reservation>>,
        effects: &[ResponseEffect],
    ) {
        if let Some(reservation) = reservation
            && self.has_refund(effects)
        {
            // The refund updates only the statuses of quotas with refunded units. For all other quotas, the state of the
            // request may have newer statuses than the reservation.
            let reservation = reservation.with_decision(update.decision.clone());
            let refund = reservation.refund_except(|index| effects[index].kept).await;
            update.apply(refund, &REFUND_FAILURE);
        }
        if effects.iter().any(|it| it.penalty > 0) {
            update.apply(self.penalty_request(effects).debit().await, &PENALTY_FAILURE);
        }
        for (check, effect) in self.checks.iter().zip(effects) {
            if effect.is_offence
                && let Some(ban) = self.guard.record_offence(&check.policy, &check.key).await
            {
                update.decision = update.decision.clone().banned(&check.policy, ban);
                update.is_changed = true;
            }
        }
    }

    /// Returns the combination of all decisions on the request until now. The result is `None` if no limit has decided.
    pub(crate) fn combined_decision(&self) -> Option<Decision> {
        self.state.as_ref()?.decision()
    }
}
