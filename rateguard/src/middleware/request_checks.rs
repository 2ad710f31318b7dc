//! Checks a request against all limits of the middleware.

use std::{mem, rc::Rc};

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{
    HttpRequest,
    dev::{Payload, ServiceRequest},
};
use futures_util::future::{FutureExt, LocalBoxFuture};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit};
use crate::{
    admission::Admission,
    body_checks::PartialChecks,
    client, cors,
    enforce::{Enforcement, enforce},
    limit_check::LimitChecks,
    limit_context::{LimitContext, Purpose},
    not_checked::NotChecked,
    request_policies::policy_set,
    response::EarlyResponse,
};

/// A request, and the result of its checks.
pub(super) type CheckedRequest = (ServiceRequest, Result<Admission, EarlyResponse>);

/// The progress of the checks of a request.
pub(super) enum RequestChecks {
    Complete(CheckedRequest),
    Pending(LocalBoxFuture<'static, CheckedRequest>),
}

impl RequestChecks {
    /// Runs the checks of the request. They need a future only for a call to the store, for async functions of the
    /// application, and for a key in the body.
    pub(super) fn run(middleware: &Rc<RateLimit>, request: ServiceRequest) -> Self {
        let is_async = middleware.limits.iter().any(MiddlewareLimit::is_async);
        let policies = policy_set(&middleware.guard, request.request());
        let progress = if is_async {
            None
        } else {
            enforce_limits(middleware, &policies, request.request()).now_or_never()
        };
        let middleware = Rc::clone(middleware);
        match progress {
            Some(Progress::Enforced(Enforcement::Done(result))) => {
                Self::Complete((request, result))
            }
            Some(Progress::Enforced(enforcement)) => Self::Pending(Box::pin(async move {
                let result = enforcement.complete(&middleware.guard).await;
                (request, result)
            })),
            Some(Progress::NeedsBody(partial)) => {
                Self::Pending(Box::pin(check_with_body(middleware, partial, request)))
            }
            None => Self::Pending(Box::pin(async move {
                let policies = policy_set(&middleware.guard, request.request());
                let progress = enforce_limits(&middleware, &policies, request.request()).await;
                let result = match progress {
                    Progress::Enforced(enforcement) => {
                        enforcement.complete(&middleware.guard).await
                    }
                    Progress::NeedsBody(partial) => {
                        drop(policies);
                        return check_with_body(middleware, partial, request).await;
                    }
                };
                drop(policies);
                (request, result)
            })),
        }
    }
}

/// The progress of the checks without the body of the request.
#[allow(clippy::large_enum_variant, reason = "a box would need an allocation for each request")]
enum Progress {
    Enforced(Enforcement),
    /// At least one limit reads its key from the body. The value of such a limit is its index in the middleware.
    NeedsBody(PartialChecks<usize>),
}

/// Checks the request against all limits of the middleware, as far as possible without a call to the store and without
/// the body.
async fn enforce_limits(
    middleware: &RateLimit,
    policy_set: &PolicySet,
    request: &HttpRequest,
) -> Progress {
    match checks(middleware, policy_set, request).await {
        Ok(Checks::Complete(checks)) => {
            let is_preflight = cors::is_preflight(request);
            let guard = &middleware.guard;
            Progress::Enforced(enforce(guard, policy_set, checks, is_preflight, request))
        }
        Ok(Checks::Partial(partial)) => Progress::NeedsBody(partial),
        Err(early_response) => Progress::Enforced(Enforcement::Done(Err(early_response))),
    }
}

/// Reads the body, and checks the request against all limits of the middleware.
async fn check_with_body(
    middleware: Rc<RateLimit>,
    partial: PartialChecks<usize>,
    mut request: ServiceRequest,
) -> CheckedRequest {
    let policies = policy_set(&middleware.guard, request.request());
    let (http_request, payload) = request.parts_mut();
    let result = admit_with_body(&middleware, &policies, partial, http_request, payload).await;
    drop(policies);
    (request, result)
}

async fn admit_with_body(
    middleware: &RateLimit,
    policy_set: &PolicySet,
    partial: PartialChecks<usize>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> Result<Admission, EarlyResponse> {
    let RateLimit { guard, limits, .. } = middleware;
    partial.read_body(guard, policy_set, guard.http().max_key_body, request, payload).await?;
    let context = LimitContext { is_body_read: true, ..context(middleware, policy_set) };
    let check = async |index: usize| {
        let limit: &MiddlewareLimit = &limits[index];
        unless_exempt(limit.check_with_body(&context, request).await, limit, request)
    };
    let checks = partial.complete(check).await?;
    let is_preflight = cors::is_preflight(request);
    enforce(guard, policy_set, checks, is_preflight, request).complete(guard).await
}

fn context<'a>(middleware: &'a RateLimit, policy_set: &'a PolicySet) -> LimitContext<'a> {
    let RateLimit { guard, access, .. } = middleware;
    let (middleware_access, purpose) = (Some(&**access), Purpose::Enforce);
    LimitContext { guard, policy_set, middleware_access, purpose, is_body_read: false }
}

/// Returns the result of a limit, or `None` if the limit exempts the request.
fn unless_exempt<T>(
    result: Result<T, NotChecked>,
    limit: &MiddlewareLimit,
    request: &HttpRequest,
) -> Result<Option<T>, EarlyResponse> {
    match result {
        Ok(check) => Ok(Some(check)),
        Err(not_checked) => {
            not_checked.reject_unless_exempt(request, limit.scope.on_reject.as_ref())?;
            Ok(None)
        }
    }
}

/// The checks of the limits that apply to a request.
enum Checks {
    Complete(LimitChecks),
    /// Some of the checks need the body.
    Partial(PartialChecks<usize>),
}

/// Builds a check for each limit that applies to the request, as far as possible without the body.
///
/// # Errors
///
/// [`EarlyResponse`] if a limit rejects the request without a check of the counts, or if a function of the application
/// returned an error.
async fn checks(
    middleware: &RateLimit,
    policy_set: &PolicySet,
    request: &HttpRequest,
) -> Result<Checks, EarlyResponse> {
    let RateLimit { guard, limits, .. } = middleware;
    client::resolve(guard.http(), request);
    let context = context(middleware, policy_set);
    let mut checks = LimitChecks::new();
    if let Err(not_checked) = context.check_address(request) {
        // An access list exempts or rejects the request for all limits of the middleware. If it rejects the request,
        // the first limit that has an `on_reject` function creates the response.
        let on_reject = limits.iter().find_map(|limit| limit.scope.on_reject.as_ref());
        not_checked.reject_unless_exempt(request, on_reject)?;
        return Ok(Checks::Complete(checks));
    }
    let mut partial = None;
    for (index, limit) in limits.iter().enumerate() {
        match unless_exempt(limit.check(&context, request).await, limit, request)? {
            None => {}
            Some(None) => {
                let partial =
                    partial.get_or_insert_with(|| PartialChecks::of(mem::take(&mut checks)));
                partial.push_limit(index);
            }
            Some(Some(check)) => match &mut partial {
                None => checks.push(check),
                Some(partial) => partial.push(check),
            },
        }
    }
    Ok(partial.map_or(Checks::Complete(checks), Checks::Partial))
}
