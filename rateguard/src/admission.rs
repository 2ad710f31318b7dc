//! An admitted HTTP request, and the effects of its response on the counts.

use std::{borrow::Cow, ops::Range, rc::Rc};

use actix_rateguard_core::{
    RateGuard,
    adapter::{PermitLease, ShadowHolds},
};
use actix_web::HttpResponse;
use smallvec::SmallVec;

use crate::{
    Decision, Request, Reservation, UndecidedReason,
    added_units::AddedUnits,
    applied_limits::{RepeatedCheck, ResponseEffect},
    cors,
    decision_update::{DecisionUpdate, PENALTY_FAILURE, REFUND_FAILURE},
    limit_check::LimitChecks,
    request_state::RequestState,
};

/// An admitted HTTP request. After the handler has responded, the guard uses this value to refund and charge units.
pub(crate) struct Admission {
    /// Whether the request looks like a CORS preflight, and a CORS middleware may respond to it.
    pub(crate) is_preflight: bool,
    /// The checks of limits that an outer middleware has already applied to the request.
    repeated: Vec<RepeatedCheck>,
    /// The indices of the checks in the list of the limits that have been applied to the request.
    applied: Range<usize>,
    /// The state of the request. `None` if no limit has been applied.
    state: Option<Rc<RequestState>>,
    /// The index of the decision in the state of the request. `None` if none of the checks has decided.
    decision: Option<usize>,
    /// The units that the guard refunds if the response does not make the request count.
    reservation: Option<Box<Reservation>>,
    /// The units that the guard may have to refund to limits in shadow mode. `None` if the guard enforces at least
    /// one of the limits.
    shadow_holds: Option<Box<ShadowHolds>>,
    /// The permits that the request holds until its response ends. `None` if no limit has permits.
    permit: Option<Box<PermitLease>>,
    /// The admission by the permissive limits. The guard settles it before this one, as if the permissive limits belonged
    /// to an inner middleware.
    permissive: Option<Box<Admission>>,
}

type ResponseEffects = SmallVec<[ResponseEffect; 1]>;

impl Admission {
    /// Admits a request to which no limit applies.
    pub(crate) fn not_limited() -> Self {
        Self {
            is_preflight: false,
            repeated: Vec::new(),
            applied: 0..0,
            state: None,
            decision: None,
            reservation: None,
            shadow_holds: None,
            permit: None,
            permissive: None,
        }
    }

    /// Adds the admission by the permissive limits of the same middleware or handler.
    pub(crate) fn with_permissive(self, permissive: Self) -> Self {
        let state = self.state.or_else(|| permissive.state.clone());
        Self { state, permissive: Some(Box::new(permissive)), ..self }
    }

    /// Admits a request that permissive limits deny. Stores the denial in the state of the request.
    pub(crate) fn denied_permissively(
        mut self,
        guard: &RateGuard,
        mut checks: LimitChecks,
        denial: Decision,
    ) -> Self {
        // The denied checks have counted nothing. Their entries let a response that counts be an offence, and let the
        // handler replace the limits.
        checks.iter_mut().for_each(|it| (it.cost, it.is_denied) = (0, true));
        if let Some(state) = &self.state {
            self.applied = state.applied.add(guard, checks, &self.repeated);
            let first_entries = state.applied.first_entries(self.applied.start);
            self.decision = Some(state.push(denial, first_entries));
            state.is_denied_permissively.set(true);
        }
        self
    }

    /// Creates the admission of a request before its checks are decided.
    pub(crate) fn new(
        state: Rc<RequestState>,
        repeated: Vec<RepeatedCheck>,
        is_preflight: bool,
    ) -> Self {
        Self { is_preflight, repeated, state: Some(state), ..Self::not_limited() }
    }

    /// Admits a request whose limits are all in shadow mode.
    pub(crate) fn in_shadow(
        mut self,
        guard: &RateGuard,
        checks: LimitChecks,
        shadow_holds: Option<ShadowHolds>,
    ) -> Self {
        if let Some(state) = &self.state {
            state.add_undecided(UndecidedReason::Shadow);
            self.applied = state.applied.add(guard, checks, &self.repeated);
        }
        self.shadow_holds = shadow_holds.map(Box::new);
        self
    }

    /// Admits a request with a decision, which is stored in the state of the request.
    pub(crate) fn admitted(
        mut self,
        guard: &RateGuard,
        checks: LimitChecks,
        decision: Decision,
        mut reservation: Option<Box<Reservation>>,
    ) -> Self {
        self.permit = reservation.as_mut().and_then(|it| it.take_permit()).map(Box::new);
        if let Some(state) = &self.state {
            self.applied = state.applied.add(guard, checks, &self.repeated);
            let first_entries = state.applied.first_entries(self.applied.start);
            self.decision = Some(state.push(decision, first_entries));
            if let Some(permit) = &self.permit {
                state.permits.borrow_mut().push(permit.watch());
            }
        }
        self.reservation = reservation;
        self
    }

    /// Stores the denial of these checks in the state of the request.
    pub(crate) fn record_denial(&self, checks: usize, denial: Decision) {
        // A limit that denies the request gets no entry, so only the repeated checks have a first entry.
        let first_entry = |index| self.repeated.iter().find_map(|it| it.first_entry_of(index));
        if let Some(state) = &self.state {
            state.push(denial, (0..checks).map(first_entry).collect());
        }
    }

    /// Records that the store has failed, and the limits fail open.
    pub(crate) fn record_open_failure(&mut self) {
        if let Some(state) = &self.state {
            state.add_undecided(UndecidedReason::StoreUnavailable);
        }
        // This middleware has counted nothing, so the middlewares that made the first checks of these limits charge
        // the penalty.
        self.repeated.iter_mut().for_each(RepeatedCheck::drop_extra_cost);
    }

    /// Returns whether [`on_response`](Self::on_response) needs the response that an error creates, or whether the status
    /// of the error is sufficient.
    ///
    /// The response is needed in these cases:
    ///
    /// - A limit has decided, so the response reports the decision.
    /// - A function of the application, or the detection of CORS, reads the header fields of the response.
    /// - The middleware of an inner limit has stored the response in the error. The error may then return another
    ///   status.
    pub(crate) fn needs_error_response(&self) -> bool {
        self.permissive.as_ref().is_some_and(|it| it.needs_error_response())
            || self.own_limits_need_error_response()
    }

    fn own_limits_need_error_response(&self) -> bool {
        let Some(state) = &self.state else { return false };
        self.is_preflight
            || state.has_decision()
            || state.has_stored_response.get()
            || state.applied.reads_response(self.applied.clone())
            || self.repeated.iter().any(RepeatedCheck::reads_response)
    }

    /// Records that the middleware has stored the response in the error of an inner middleware.
    pub(crate) fn record_stored_response(&self) {
        if let Some(state) = &self.state {
            state.has_stored_response.set(true);
        }
    }

    /// Refunds and charges units, after the handler has responded and the response is final.
    ///
    /// The guard refunds the units of each limit for which this response does not count. It charges the penalty
    /// that the handler added. It bans the client if the client has had too many responses that count. Then it
    /// updates the decision in the state of the request.
    pub(crate) async fn on_response(&mut self, guard: &RateGuard, response: &HttpResponse<()>) {
        if let Some(permissive) = &mut self.permissive {
            Box::pin(permissive.on_response(guard, response)).await;
        }
        if !self.own_limits_need_settlement() {
            return;
        }
        let Some(state) = self.state.clone() else { return };
        // The header fields do not report a limit that does not apply to the handler.
        let replaced = state.applied.replaced_policies(self.applied.clone(), &state.replaced);
        state.hide_policies(replaced.iter());
        if !replaced.is_empty()
            && state.applied.permits_are_replaced(self.applied.clone(), &state.replaced)
        {
            // A stream without an end would hold the permits of a limit that does not apply to its handler.
            self.permit = None;
        }
        let effects = self.effects(&state, response);
        let has_penalty = effects.iter().any(|it| it.penalty > 0);
        if let Some(holds) = self.shadow_holds.take() {
            holds.refund_except(|index| effects[index].kept);
            if has_penalty {
                let checks = state.applied.checks(self.applied.clone());
                penalty_request(guard, &checks, &effects).debit_shadow_only();
            }
        }
        let is_needed = has_penalty || effects.iter().any(|it| it.is_offence || it.refund > 0);
        if is_needed && let Some(decision) = self.decision {
            // The future is boxed, because it is large, and most requests do not need it.
            Box::pin(self.settle(guard, &state, decision, &effects)).await;
        }
    }

    /// Returns false if [`on_response`](Self::on_response) does nothing, whatever the response is. In this case, the
    /// request counts for all of its limits, and there is nothing to charge.
    pub(crate) fn needs_settlement(&self) -> bool {
        self.permissive.as_ref().is_some_and(|it| it.needs_settlement())
            || self.own_limits_need_settlement()
    }

    fn own_limits_need_settlement(&self) -> bool {
        let Some(state) = &self.state else { return false };
        self.is_preflight
            || self.shadow_holds.is_some()
            || !self.repeated.is_empty()
            || state.penalty.get().total > 0
            || self.has_replaced_limits(state)
            || !state.applied.count_always(self.applied.clone())
    }

    fn has_replaced_limits(&self, state: &RequestState) -> bool {
        state.replaced.has_replacements()
            && !state.applied.replaced_policies(self.applied.clone(), &state.replaced).is_empty()
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
        let effect = |index| state.applied.effect(index, response, penalty, &state.replaced);
        let effects = self.applied.clone().map(effect).collect();
        for repeated in &self.repeated {
            state.applied.record_corrections(repeated, response, penalty);
        }
        // The enforced limits of an outer middleware do not charge the penalty again. If all limits are in shadow mode or
        // permissive, the outer limits also charge the penalty, so that these limits do not weaken the enforced limits.
        if state.applied.has_enforced(self.applied.clone())
            || self.repeated.iter().any(RepeatedCheck::is_enforced)
        {
            state.penalty.set(AddedUnits { charged: penalty.total, ..penalty });
        }
        effects
    }

    /// Refunds and charges units, and updates the decision with this index in the state of the request.
    async fn settle(
        &mut self,
        guard: &RateGuard,
        state: &RequestState,
        index: usize,
        effects: &ResponseEffects,
    ) {
        let Some(decision) = state.get(index) else { return };
        let mut update = DecisionUpdate { decision, is_changed: false };
        let checks = state.applied.checks(self.applied.clone());
        if let Some(reservation) = self.reservation.take()
            && effects.iter().any(|it| it.refund > 0)
        {
            // The refund updates only the statuses of quotas with refunded units. For all other quotas, the state of the
            // request may have newer statuses than the reservation.
            let reservation = reservation.with_decision(update.decision.clone());
            let refund = reservation.refund_except(|index| effects[index].kept).await;
            update.apply(refund, &REFUND_FAILURE);
        }
        if effects.iter().any(|it| it.penalty > 0) {
            let charge = penalty_request(guard, &checks, effects).debit().await;
            update.apply(charge, &PENALTY_FAILURE);
        }
        for (check, effect) in checks.iter().zip(effects) {
            if effect.is_offence
                && let Some(ban) = guard.record_offence(&check.policy, &check.key).await
            {
                update.decision = update.decision.clone().banned(&check.policy, ban);
                update.is_changed = true;
            }
        }
        if update.is_changed {
            state.set(index, update.decision);
        }
    }

    /// Returns the permits that the request holds, so that the body of the response can hold them until it ends. If this
    /// value is dropped before, because the handler is cancelled or panics, the guard releases the permits.
    pub(crate) fn take_permit(&mut self) -> Option<Box<PermitLease>> {
        let further = self.permissive.as_mut().and_then(|it| it.take_permit());
        match self.permit.take() {
            Some(permit) if further.is_some() => Some(Box::new(permit.with_further(further))),
            permit => permit.or(further),
        }
    }

    /// Returns the combination of all decisions on the request until now, without hidden limits. The result is `None` if no
    /// other limit has decided.
    pub(crate) fn visible_decision(&self) -> Option<Decision> {
        let state = self.state.as_ref()?;
        state.visible(&state.decision()?).map(Cow::into_owned)
    }
}

/// Builds a request to the guard that charges the penalties to the limits.
fn penalty_request<'a>(
    guard: &'a RateGuard,
    checks: &'a LimitChecks,
    effects: &ResponseEffects,
) -> Request<'a> {
    checks.iter().zip(effects).fold(guard.empty_request(), |request, (check, effect)| {
        request.and_hashed(&check.policy, check.key, effect.penalty)
    })
}
