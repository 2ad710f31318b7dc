//! Enforces limits on an HTTP request. The middleware and the macro attribute both use this module.

use std::rc::Rc;

use actix_rateguard_core::{OnError, RateGuard, adapter::PolicySet};
use actix_web::HttpRequest;

use crate::{
    Decision, Rejection, Request, Reservation, Unavailable,
    admission::Admission,
    cors,
    limit_check::{LimitCheck, LimitChecks},
    request_state::RequestState,
    response::EarlyResponse,
};

/// The result of the checks that need no call to the store.
#[allow(clippy::large_enum_variant, reason = "a box would need an allocation for each request")]
pub(crate) enum Enforcement {
    /// The guard has admitted or rejected the request.
    Done(Result<Admission, EarlyResponse>),
    /// The store must decide.
    Undecided(StoreCheck),
    /// Some limits are permissive. The guard checks them after the other limits have admitted the request.
    Permissive(Box<PermissiveCheck>),
}

/// The checks of a request of which some belong to permissive limits.
pub(crate) struct PermissiveCheck {
    /// The checks of the limits that are not permissive.
    enforced: Enforcement,
    permissive: LimitChecks,
    state: Rc<RequestState>,
    on_error: OnError,
    is_preflight: bool,
}

/// The checks of an HTTP request that the store must decide.
pub(crate) struct StoreCheck {
    /// The admission of the request, in case the store admits it.
    admission: Admission,
    checks: LimitChecks,
    /// The failure mode of limits that do not set a failure mode.
    on_error: OnError,
}

/// Runs the checks for an HTTP request as far as possible without a call to the store. A check of a limit that has
/// already been applied to this request uses the earlier decision.
///
/// Stores the decision in the state of the HTTP request. The handler can read the decision there, and the headers
/// of the response report the decision. If `is_preflight` is true, a CORS middleware may respond to the request, and
/// then the request does not count.
pub(crate) fn enforce(
    guard: &RateGuard,
    policy_set: &PolicySet,
    mut checks: LimitChecks,
    is_preflight: bool,
    request: &HttpRequest,
) -> Enforcement {
    if checks.is_empty() {
        return Enforcement::Done(Ok(Admission::not_limited()));
    }
    let state = prepare(guard, &mut checks, request);
    let on_error = policy_set.on_error;
    if checks.iter().all(|it| !it.is_permissive) {
        return enforce_together(guard, state, on_error, checks, is_preflight);
    }
    let (permissive, enforced) = checks.into_iter().partition(|it| it.is_permissive);
    let enforced = enforce_together(guard, Rc::clone(&state), on_error, enforced, is_preflight);
    let check = PermissiveCheck { enforced, permissive, state, on_error, is_preflight };
    Enforcement::Permissive(Box::new(check))
}

/// Prepares the checks for the store, and hides the policies of hidden limits. Returns the state of the request.
fn prepare(guard: &RateGuard, checks: &mut LimitChecks, request: &HttpRequest) -> Rc<RequestState> {
    checks.iter_mut().for_each(|it| it.prepare(guard));
    let state = RequestState::of(request);
    state.hide_policies(checks.iter().filter(|it| it.hides_headers).map(|it| &it.policy));
    state
}

/// Runs checks whose results the guard combines into one decision, as far as possible without a call to the store.
fn enforce_together(
    guard: &RateGuard,
    state: Rc<RequestState>,
    on_error: OnError,
    mut checks: LimitChecks,
    is_preflight: bool,
) -> Enforcement {
    if checks.is_empty() {
        return Enforcement::Done(Ok(Admission::not_limited()));
    }
    let repeated = state.applied.split_repeated(guard, &mut checks);
    let admission = Admission::new(state, repeated, is_preflight);
    if checks.is_empty() {
        return Enforcement::Done(Ok(admission));
    }
    if checks.iter().all(|it| it.policy.is_in_shadow()) {
        // A limit in shadow mode does not affect the response, so the request does not wait for the store.
        let holds = build_request(guard, on_error, &checks).check_shadow_only();
        return Enforcement::Done(Ok(admission.in_shadow(guard, checks, holds)));
    }
    if let [check] = &*checks
        && !is_preflight
        && !check.needs_reservation()
        && let Some(decision) = guard.check_fast(&check.policy, &check.key, check.cost)
    {
        return Enforcement::Done(decided(guard, admission, checks, decision, None));
    }
    Enforcement::Undecided(StoreCheck { admission, checks, on_error })
}

/// Rejects the request if these limits deny it, and takes no units otherwise. The other limits of the same decision
/// need the body of the request.
///
/// The denial counts like any other: an offence counts towards a ban. If the store fails, the failure mode applies.
///
/// # Errors
///
/// [`EarlyResponse`] if a limit denies the request, or if a limit fails closed because the store does not answer.
pub(crate) async fn deny_early(
    guard: &RateGuard,
    policy_set: &PolicySet,
    mut checks: LimitChecks,
    request: &HttpRequest,
) -> Result<(), EarlyResponse> {
    // A permissive limit denies no request, and a limit with a wait may have room later. Both decide after the body.
    checks.retain(|it| !it.is_permissive && !it.may_wait());
    let state = prepare(guard, &mut checks, request);
    let repeated = state.applied.split_repeated(guard, &mut checks);
    if checks.iter().all(|it| it.policy.is_in_shadow()) {
        return Ok(());
    }
    let admission = Admission::new(state, repeated, cors::is_preflight(request));
    let request = build_request(guard, policy_set.on_error, &checks);
    match request.peek().await {
        Ok(decision) if decision.is_allowed() => return Ok(()),
        Ok(_) => {}
        Err(unavailable) if unavailable.lets_pass() => return Ok(()),
        Err(unavailable) => return undecided(admission, &checks, unavailable).map(drop),
    }
    let decision = match request.reserve().await {
        // Room has become free since the peek. The guard decides again after the body, together with the other limits.
        // If this refund fails, the request counts twice, so no limit is exceeded.
        Ok(reservation) if reservation.decision().is_allowed() => {
            drop(reservation.refund().await);
            return Ok(());
        }
        Ok(reservation) => reservation.decision().clone(),
        Err(unavailable) => return undecided(admission, &checks, unavailable).map(drop),
    };
    drop(request);
    decided(guard, admission, checks, decision, None).map(drop)
}

impl Enforcement {
    /// Calls the store if it must decide.
    ///
    /// # Errors
    ///
    /// [`EarlyResponse`] in two cases: a limit denies the request, or a limit fails closed because the store does not
    /// answer.
    pub(crate) async fn complete(self, guard: &RateGuard) -> Result<Admission, EarlyResponse> {
        match self {
            Self::Done(result) => result,
            Self::Undecided(check) => {
                let result = check.call_store(guard).await;
                check.complete(guard, result)
            }
            Self::Permissive(check) => Box::pin(check.complete(guard)).await,
        }
    }
}

impl PermissiveCheck {
    /// Checks the permissive limits, unless another limit rejects the request.
    async fn complete(self, guard: &RateGuard) -> Result<Admission, EarlyResponse> {
        let Self { enforced, permissive, state, on_error, is_preflight } = self;
        let admission = Box::pin(enforced.complete(guard)).await?;
        let permissive = enforce_together(guard, state, on_error, permissive, is_preflight);
        Ok(admission.with_permissive(Box::pin(permissive.complete(guard)).await?))
    }
}

/// The decision of the store, and the units that the guard can refund.
type StoreResult = Result<(Decision, Option<Box<Reservation>>), Unavailable>;

impl StoreCheck {
    /// Runs all checks with a call to the store. If the request may not count, reserves the units, so that the guard
    /// can refund them after the response. If a limit has a wait, the request may wait for room.
    pub(crate) async fn call_store(&self, guard: &RateGuard) -> StoreResult {
        match &*self.checks {
            [check] if !self.admission.is_preflight && !check.needs_reservation() => {
                let LimitCheck { policy, key, cost, .. } = check;
                let is_exempt_from_ban = check.is_exempt_from_ban();
                let decision =
                    guard.check_via_store(policy, key, *cost, is_exempt_from_ban, self.on_error);
                Ok((decision.await?, None))
            }
            // The future is boxed, because it is large, and most requests have one check.
            several => Box::pin(self.decide_several(guard, several)).await,
        }
    }

    async fn decide_several(&self, guard: &RateGuard, checks: &[LimitCheck]) -> StoreResult {
        let request = build_request(guard, self.on_error, checks);
        if checks.iter().any(LimitCheck::may_wait) {
            let waits = checks.iter().map(|check| check.wait);
            let reservation = request.taking_permits().reserve_within_waits(waits).await?;
            return Ok((reservation.decision().clone(), Some(reservation.into())));
        }
        if checks.iter().any(LimitCheck::takes_permit) {
            let reservation = request.taking_permits().reserve_permit().await?;
            return Ok((reservation.decision().clone(), Some(reservation.into())));
        }
        if !self.admission.is_preflight && !checks.iter().any(LimitCheck::may_be_refunded) {
            return Ok((request.check_via_store().await?, None));
        }
        let reservation = request.reserve().await?;
        Ok((reservation.decision().clone(), Some(reservation.into())))
    }

    /// Admits or rejects the request after the store has decided.
    ///
    /// # Errors
    ///
    /// The errors are the same as for [`Enforcement::complete`].
    pub(crate) fn complete(
        self,
        guard: &RateGuard,
        result: StoreResult,
    ) -> Result<Admission, EarlyResponse> {
        let Self { admission, checks, .. } = self;
        match result {
            Ok((decision, reservation)) => decided(guard, admission, checks, decision, reservation),
            Err(unavailable) => undecided(admission, &checks, unavailable),
        }
    }
}

/// Builds one request to the guard that contains all checks.
fn build_request<'a>(
    guard: &'a RateGuard,
    on_error: OnError,
    checks: &'a [LimitCheck],
) -> Request<'a> {
    let empty = guard.empty_request().default_on_error(on_error);
    checks.iter().fold(empty, |request, check| {
        let request = request.and_hashed(&check.policy, check.key, check.cost);
        let request = if check.holds_permit { request.without_permit() } else { request };
        if check.is_exempt_from_ban() { request.exempt_from_ban() } else { request }
    })
}

/// Returns whether these checks belong to permissive limits. The guard checks them separately from other limits.
fn is_permissive(checks: &[LimitCheck]) -> bool {
    checks.iter().all(|check| check.is_permissive)
}

/// Stores a decision in the state of the request. Admits the request if the decision allows the request, and
/// otherwise rejects the request.
fn decided(
    guard: &RateGuard,
    admission: Admission,
    checks: LimitChecks,
    decision: Decision,
    reservation: Option<Box<Reservation>>,
) -> Result<Admission, EarlyResponse> {
    if decision.is_allowed() {
        return Ok(admission.admitted(guard, checks, decision, reservation));
    }
    if is_permissive(&checks) {
        return Ok(admission.denied_permissively(guard, checks, decision));
    }
    let denied_by = checks.iter().find(|it| it.policy.name() == decision.policy());
    let on_reject = denied_by.and_then(|it| it.on_reject.clone());
    admission.record_denial(checks.len(), decision.clone());
    Err(EarlyResponse::rejection(Rejection::Denied(decision), on_reject))
}

/// Applies the failure mode after the store has failed.
fn undecided(
    mut admission: Admission,
    checks: &[LimitCheck],
    unavailable: Unavailable,
) -> Result<Admission, EarlyResponse> {
    if unavailable.lets_pass() || is_permissive(checks) {
        admission.record_open_failure();
        return Ok(admission);
    }
    // The store has failed for all limits of the request. The first limit that has an `on_reject` function creates the
    // response.
    let on_reject = checks.iter().find_map(|check| check.on_reject.clone());
    Err(EarlyResponse::rejection(Rejection::Unavailable(unavailable), on_reject))
}
