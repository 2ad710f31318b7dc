//! The implementation of actix-web's traits `Transform` and `Service` for the middleware.

use std::{cell::Cell, rc::Rc};

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{
    Error, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::{FutureExt, Ready, ready};

use super::{
    middleware_limit::MiddlewareLimit,
    rate_limit::RateLimit,
    response_future::{RateLimitFuture, rejected},
    shared_limits,
};
#[cfg(feature = "test-util")]
use crate::route_probe::RouteProbe;
use crate::{
    client, cors,
    enforce::{Enforcement, enforce},
    expect_valid::expect_valid,
    inventory::ActiveMiddleware,
    limit_check::LimitChecks,
    limit_context::{LimitContext, Purpose},
    request_policies::policy_set,
    response::EarlyResponse,
    unnamed_limits,
};

/// # Panics
///
/// The application panics at startup if a limit of this middleware has the same name as another limit of the guard, and
/// if one of these conditions holds:
///
/// - The two limits have different quotas, bans or shadow modes.
/// - The program has set no name for one of the two limits. Its default name is the same as the name of the other limit
///   by accident.
/// - The program has set no name for both limits, so both have the same default name.
///
/// The other limit can be a limit of a middleware, a limit of a macro attribute, or a policy of the guard. If the guard
/// already has the other limit when the program creates this middleware, [`RateLimit::try_new`] returns an error. So
/// the application panics only because of limits that the guard gets later, such as the limits of attributes with a
/// `limiter` argument. `try_new` also returns every other error in a limit.
impl<S, B> Transform<S, ServiceRequest> for RateLimit
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RateLimitMiddleware<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        // This code registers the name of each limit, so that the guard detects two limits with the same name.
        for registration in self.limits.iter().filter_map(MiddlewareLimit::registration) {
            let (name, origin) = (registration.policy.name(), registration.origin);
            expect_valid(self.guard.register_name(registration));
            if !origin.has_name {
                unnamed_limits::record(&self.guard, name, origin.location);
            }
        }
        let policy_set = self.guard.policy_set();
        // This code registers the limits of the middleware for the inventory and for explanations.
        self.guard.middlewares().add_to_inventory(
            &self.guard,
            &policy_set,
            ActiveMiddleware { limits: &self.limits, access: &self.access },
        );
        ready(Ok(RateLimitMiddleware {
            service: Rc::new(service),
            middleware: Rc::new(self.clone()),
            has_had_request: Cell::new(false),
        }))
    }
}

/// The service with which [`RateLimit`] wraps the application's service.
#[doc(hidden)]
pub struct RateLimitMiddleware<S> {
    service: Rc<S>,
    middleware: Rc<RateLimit>,
    has_had_request: Cell<bool>,
}

impl<S, B> Service<ServiceRequest> for RateLimitMiddleware<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = RateLimitFuture<S, B>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        if !self.has_had_request.replace(true) {
            // This code records which application the middleware belongs to. The application is not available before
            // the first request.
            shared_limits::record_first_request(&self.middleware, request.request());
        }
        let middleware = &self.middleware;
        let policies = policy_set(&middleware.guard, request.request());
        // A test sends a route probe to find out whether a limit applies to the route. The middleware counts
        // nothing for it. If a limit applies, the middleware responds, and otherwise the probe goes on to inner
        // limits.
        #[cfg(feature = "test-util")]
        if let Some(probe) = RouteProbe::of(request.request()) {
            let applies = |limit: &MiddlewareLimit| {
                let overrides = limit.overrides(&policies);
                limit.scope.exemption(overrides, request.request()).is_none()
            };
            probe.record(middleware.limits.iter().any(applies));
            if probe.found_limit() {
                let response = request.into_response(RouteProbe::response());
                return RateLimitFuture::ready(Ok(response.map_into_right_body()));
            }
        }
        let is_async = middleware.limits.iter().any(MiddlewareLimit::is_async);
        // If no function of a limit is async, the request needs no future for its checks, except for a call to the store.
        let enforcement = if is_async {
            None
        } else {
            enforce_limits(middleware, &policies, request.request()).now_or_never()
        };
        let middleware = Rc::clone(middleware);
        match enforcement {
            Some(Enforcement::Done(Ok(admission))) => {
                RateLimitFuture::handler(self.service.call(request), middleware, admission)
            }
            Some(Enforcement::Done(Err(early_response))) => {
                RateLimitFuture::ready(Ok(rejected(&middleware, request, early_response)))
            }
            Some(Enforcement::Undecided(check)) => {
                let guard = middleware.guard.clone();
                let check = async move {
                    let result = check.call_store(&guard).await;
                    (request, check.complete(&guard, result))
                };
                RateLimitFuture::check(check, middleware, Rc::clone(&self.service))
            }
            None => {
                let limits = Rc::clone(&middleware);
                let check = async move {
                    let policies = policy_set(&limits.guard, request.request());
                    let enforcement = enforce_limits(&limits, &policies, request.request()).await;
                    let admission = enforcement.complete(&limits.guard).await;
                    drop(policies);
                    (request, admission)
                };
                RateLimitFuture::check(check, middleware, Rc::clone(&self.service))
            }
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
