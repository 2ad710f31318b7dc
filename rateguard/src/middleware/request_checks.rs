//! Checks a request against all limits of the middleware.

use std::rc::Rc;

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{HttpRequest, dev::ServiceRequest};
use futures_util::future::{FutureExt, LocalBoxFuture};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit};
use crate::{
    admission::Admission,
    client, cors,
    enforce::{Enforcement, enforce},
    limit_check::LimitChecks,
    limit_context::{LimitContext, Purpose},
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
    /// Runs the checks of the request. They need a future only for a call to the store and for async functions of the
    /// application.
    pub(super) fn run(middleware: &Rc<RateLimit>, request: ServiceRequest) -> Self {
        let is_async = middleware.limits.iter().any(MiddlewareLimit::is_async);
        let policies = policy_set(&middleware.guard, request.request());
        let enforcement = if is_async {
            None
        } else {
            enforce_limits(middleware, &policies, request.request()).now_or_never()
        };
        let middleware = Rc::clone(middleware);
        match enforcement {
            Some(Enforcement::Done(result)) => Self::Complete((request, result)),
            Some(enforcement) => Self::Pending(Box::pin(async move {
                let result = enforcement.complete(&middleware.guard).await;
                (request, result)
            })),
            None => Self::Pending(Box::pin(async move {
                let policies = policy_set(&middleware.guard, request.request());
                let enforcement = enforce_limits(&middleware, &policies, request.request()).await;
                let result = enforcement.complete(&middleware.guard).await;
                drop(policies);
                (request, result)
            })),
        }
    }
}

/// Checks the request against all limits of the middleware, as far as possible without a call to the store.
async fn enforce_limits(
    middleware: &RateLimit,
    policy_set: &PolicySet,
    request: &HttpRequest,
) -> Enforcement {
    match checks(middleware, policy_set, request).await {
        Ok(checks) => {
            let is_preflight = cors::is_preflight(request);
            enforce(&middleware.guard, policy_set, checks, is_preflight, request)
        }
        Err(early_response) => Enforcement::Done(Err(early_response)),
    }
}

/// Builds a check for each limit that applies to the request.
///
/// # Errors
///
/// [`EarlyResponse`] if a limit rejects the request without a check of the counts, or if a function of the application
/// returned an error.
async fn checks(
    middleware: &RateLimit,
    policy_set: &PolicySet,
    request: &HttpRequest,
) -> Result<LimitChecks, EarlyResponse> {
    let RateLimit { guard, limits, access } = middleware;
    client::resolve(guard.http(), request);
    let (middleware_access, purpose) = (Some(&**access), Purpose::Enforce);
    let context = LimitContext { guard, policy_set, middleware_access, purpose };
    let mut checks = LimitChecks::new();
    if let Err(not_checked) = context.check_address(request) {
        // An access list exempts or rejects the request for all limits of the middleware. If it rejects the request,
        // the first limit that has an `on_reject` function creates the response.
        let on_reject = limits.iter().find_map(|limit| limit.scope.on_reject.as_ref());
        not_checked.reject_unless_exempt(request, on_reject)?;
        return Ok(checks);
    }
    for limit in &**limits {
        match limit.check(&context, request).await {
            Ok(check) => checks.push(check),
            Err(not_checked) => {
                not_checked.reject_unless_exempt(request, limit.scope.on_reject.as_ref())?;
            }
        }
    }
    Ok(checks)
}
