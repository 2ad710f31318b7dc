//! Checks the limits of a handler, and then runs the handler.

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{HttpRequest, HttpResponse, dev::Payload, web};

use super::{app_guard::guard_of, limit_inputs::LimitInputs, limited_handler::LimitedHandler};
use crate::{
    RateGuard, Rejection,
    admission::Admission,
    body_checks::PartialChecks,
    client,
    enforce::enforce,
    limit_check::{LimitCheck, LimitChecks},
    limit_context::{LimitContext, Purpose},
    not_checked::RejectReason,
    on_reject::{OnReject, OnRejectFn},
    replaced_limits::Replacement,
    request_policies::policy_set,
    request_state::RequestState,
    response::{EarlyResponse, hold_until_end, unless_head},
    settings::HttpSettings,
};

/// Checks the request against the limits, then runs the extractors and the handler.
///
/// If `guard` is `None`, the function uses the guard in the application's data. If the application's data has no guard, or two different guards in two forms, the
/// function rejects the request with 500. `on_reject` has an entry for each limit.
pub async fn limited<H: LimitedHandler<Args>, Args, const LIMITS: usize>(
    guard: Option<&RateGuard>,
    on_reject: [Option<OnRejectFn>; LIMITS],
    limits: impl AsyncFnOnce(&PolicySet, &HttpRequest) -> [LimitInputs; LIMITS],
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let Some(guard) = guard.or_else(|| guard_of::<H>(&request)) else {
        let rejection = Rejection::Misconfigured(RejectReason::NoGuard);
        let early_response = EarlyResponse::rejection(rejection, first(&on_reject));
        return early_response.into_response(&HttpSettings::default(), &request);
    };

    let policy_set = policy_set(guard, &request);
    #[cfg(feature = "test-util")]
    if let Some(probe) = crate::route_probe::RouteProbe::of(&request) {
        client::resolve_without_warning(guard.http(), &request);
        probe.record(limits(&policy_set, &request).await.iter().any(|inputs| inputs.applies));
        return crate::route_probe::RouteProbe::response();
    }
    let mut payload = payload.into_inner();
    let admitted = admit(guard, &policy_set, &on_reject, limits, &request, &mut payload).await;
    let mut response = match admitted {
        Err(early_response) => early_response.into_response(guard.http(), &request),
        Ok(mut admission) => {
            let (response, body) = handler.respond(&request, payload).await.into_parts();
            admission.on_response(guard, &response).await;
            let permit = unless_head(&request, admission.take_permit());
            response.set_body(hold_until_end(body, permit))
        }
    };
    if let Some(state) = RequestState::existing(&request) {
        let jitter = state.retry_jitter(guard.http(), &request);
        let status = response.status();
        state.write_decisions(guard.http(), jitter, status, response.headers_mut());
    }
    response
}

/// Runs a handler that is exempt from limits of middlewares. `has_limits` says whether the handler has limits of its own.
pub async fn exempt<H: LimitedHandler<Args>, Args>(
    replacement: Replacement,
    #[cfg_attr(not(feature = "test-util"), allow(unused_variables))] has_limits: bool,
    handler: H,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    #[cfg(feature = "test-util")]
    if !has_limits && crate::route_probe::RouteProbe::of(&request).is_some() {
        return crate::route_probe::RouteProbe::response();
    }
    RequestState::of(&request).replaced.add_replacement(replacement);
    handler.respond(&request, payload.into_inner()).await
}

async fn admit<const LIMITS: usize>(
    guard: &RateGuard,
    policy_set: &PolicySet,
    on_reject: &[Option<OnRejectFn>; LIMITS],
    limits: impl AsyncFnOnce(&PolicySet, &HttpRequest) -> [LimitInputs; LIMITS],
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Admission, EarlyResponse> {
    client::resolve(guard.http(), request);
    let (purpose, is_body_read) = (Purpose::Enforce, false);
    let context =
        LimitContext { guard, policy_set, middleware_access: None, purpose, is_body_read };
    if let Err(not_checked) = context.check_address(request) {
        // An access list exempts or rejects the request for all limits of the handler. If it rejects the request, the
        // first limit that has an `on_reject` function creates the response.
        not_checked.reject_unless_exempt(request, first(on_reject).as_ref())?;
        return Ok(Admission::not_limited());
    }
    let limits = limits(policy_set, request).await;
    if limits.iter().any(LimitInputs::needs_body) {
        let limits = limits.into_iter().zip(on_reject.iter().copied()).collect();
        return Box::pin(admit_with_body(context, limits, request, payload)).await;
    }
    let mut checks = LimitChecks::new();
    for (inputs, on_reject) in limits.into_iter().zip(on_reject) {
        let on_reject = on_reject.map(OnReject::Pointer);
        match inputs.into_check(&context, request) {
            Ok(check) => checks.push(LimitCheck { on_reject, ..check }),
            Err(not_checked) => not_checked.reject_unless_exempt(request, on_reject.as_ref())?,
        }
    }
    // A preflight that reaches the attribute also reaches the handler, so the limit counts it like any request.
    let is_preflight = false;
    enforce(guard, policy_set, checks, is_preflight, request).complete(guard).await
}

/// Reads the body, and checks the request against all limits of the handler.
async fn admit_with_body(
    context: LimitContext<'_>,
    limits: Vec<(LimitInputs, Option<OnRejectFn>)>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Admission, EarlyResponse> {
    let LimitContext { guard, policy_set, .. } = context;
    let check = |inputs: LimitInputs, on_reject: Option<OnRejectFn>, context: &LimitContext<'_>| {
        let on_reject = on_reject.map(OnReject::Pointer);
        match inputs.into_check(context, request) {
            Ok(check) => Ok(Some(LimitCheck { on_reject, ..check })),
            Err(not_checked) => {
                not_checked.reject_unless_exempt(request, on_reject.as_ref()).map(|()| None)
            }
        }
    };
    let mut partial = PartialChecks::of(LimitChecks::new());
    for (inputs, on_reject) in limits {
        if inputs.needs_body() {
            partial.push_limit((inputs, on_reject));
        } else if let Some(check) = check(inputs, on_reject, &context)? {
            partial.push(check);
        }
    }
    partial.read_body(guard, policy_set, guard.http().max_key_body, request, payload).await?;
    let context = LimitContext { is_body_read: true, ..context };
    let checks = partial.complete(async |(inputs, on_reject)| {
        check(inputs.with_body_key(request).await, on_reject, &context)
    });
    let checks = checks.await?;
    enforce(guard, policy_set, checks, false, request).complete(guard).await
}

/// Returns the function of the first limit that has one.
fn first(on_reject: &[Option<OnRejectFn>]) -> Option<OnReject> {
    on_reject.iter().flatten().next().copied().map(OnReject::Pointer)
}
