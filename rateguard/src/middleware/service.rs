//! The implementation of actix-web's traits `Transform` and `Service` for the middleware.

use std::{cell::Cell, rc::Rc};

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::{LocalBoxFuture, Ready, ready};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit, shared_limits};
#[cfg(feature = "test-util")]
use crate::route_probe::RouteProbe;
use crate::{
    client, cors,
    enforce::{Admission, enforce},
    expect_valid::expect_valid,
    inventory::ActiveMiddleware,
    limit_check::LimitChecks,
    limit_context::{LimitContext, Purpose},
    request_policies::policy_set,
    request_state::write_request_decisions,
    response::{EarlyResponse, store_response},
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
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let service = Rc::clone(&self.service);
        let middleware = Rc::clone(&self.middleware);
        if !self.has_had_request.replace(true) {
            // This code records which application the middleware belongs to. The application is not available before
            // the first request.
            shared_limits::record_first_request(&middleware, request.request());
        }
        Box::pin(async move {
            let policy_set = policy_set(&middleware.guard, request.request());
            // A test sends a route probe to find out whether a limit applies to the route. The middleware counts
            // nothing for it. If a limit applies, the middleware responds, and otherwise the probe goes on to inner
            // limits.
            #[cfg(feature = "test-util")]
            if let Some(probe) = RouteProbe::of(request.request()) {
                let applies = |limit: &MiddlewareLimit| {
                    let overrides = limit.overrides(&policy_set);
                    limit.scope.exemption(overrides, request.request()).is_none()
                };
                probe.record(middleware.limits.iter().any(applies));
                if probe.found_limit() {
                    return Ok(request.into_response(RouteProbe::response()).map_into_right_body());
                }
            }
            let mut admission = match admit(&middleware, &policy_set, request.request()).await {
                Ok(admission) => admission,
                Err(early_response) => {
                    let http_settings = middleware.guard.http();
                    let response = early_response.into_response(http_settings, request.request());
                    let response = request.into_response(response).map_into_right_body();
                    return Ok(with_limit_headers(&middleware, response));
                }
            };
            // actix-web panics if a clone of the request exists while the inner service selects the route. So this
            // code has no clone of the request here.
            match service.call(request).await {
                Ok(response) => {
                    let (request, response) = response.into_parts();
                    let response = admission.on_response(response).await;
                    let response = ServiceResponse::new(request, response).map_into_left_body();
                    Ok(with_limit_headers(&middleware, response))
                }
                Err(mut error) if admission.needs_error_response() => {
                    // Some errors can create their response only once, so the error stores the response and sends it
                    // later.
                    let response = admission.on_response(error.error_response()).await;
                    let decision = admission.combined_decision();
                    store_response(&mut error, response, decision, middleware.guard.clone());
                    admission.record_stored_response();
                    Err(error)
                }
                Err(error) => {
                    // The status is sufficient to determine whether the request counts. As without RateGuard, the error
                    // creates its response after this middleware.
                    let status = error.as_response_error().status_code();
                    let _ = admission.on_response(HttpResponse::new(status)).await;
                    Err(error)
                }
            }
        })
    }
}

/// Checks the request against all limits of the middleware. Returns the admission, with which the guard refunds and
/// charges units after the response.
///
/// # Errors
///
/// [`EarlyResponse`] if a limit rejects the request, or if a function of the application returned an error.
async fn admit<'a>(
    middleware: &'a RateLimit,
    policy_set: &'a PolicySet,
    request: &HttpRequest,
) -> Result<Admission<'a>, EarlyResponse<'a>> {
    let RateLimit { guard, limits, access } = middleware;
    client::resolve(guard.http(), request);
    let (middleware_access, purpose) = (Some(&**access), Purpose::Enforce);
    let context = LimitContext { guard, policy_set, middleware_access, purpose };
    if let Err(not_checked) = context.check_address(request) {
        // An access list exempts or rejects the request for all limits of the middleware. If it rejects the request,
        // the first limit that has an `on_reject` function creates the response.
        let on_reject = limits.iter().find_map(|limit| limit.scope.on_reject.as_deref());
        not_checked.reject_unless_exempt(request, on_reject)?;
        return Ok(Admission::not_limited(guard));
    }
    let mut checks = LimitChecks::new();
    for limit in &**limits {
        match limit.check(&context, request).await {
            Ok(check) => checks.push(check),
            Err(not_checked) => {
                not_checked.reject_unless_exempt(request, limit.scope.on_reject.as_deref())?;
            }
        }
    }
    enforce(guard, policy_set, checks, cors::is_preflight(request), request).await
}

/// Returns the response with the header fields that report the decisions on the request.
fn with_limit_headers<B>(
    middleware: &RateLimit,
    mut response: ServiceResponse<B>,
) -> ServiceResponse<B> {
    let request = response.request().clone();
    write_request_decisions(middleware.guard.http(), &request, response.headers_mut());
    response
}
