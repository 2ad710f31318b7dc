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
    request_state::write_headers,
    response::{EarlyResponse, add_headers},
    unnamed_limits,
};

/// # Panics
///
/// At startup of the application, if the guard has another limit (of a middleware or of a macro attribute) for which
/// one of these conditions holds:
///
/// - The other limit has the name of a limit of this middleware, but a different quota, ban or shadow setting.
/// - The program has set a name neither for the other limit nor for a limit of this middleware, so both limits have
///   the same default name.
///
/// If the other limit has already started, [`RateLimit::try_new`] returns an error instead. `try_new` also returns
/// every other error in a limit.
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
        for registration in self.limits.iter().filter_map(MiddlewareLimit::registration) {
            let (name, origin) = (registration.policy.name(), registration.origin);
            expect_valid(self.guard.register_name(registration));
            if !origin.has_name {
                unnamed_limits::record(&self.guard, name, origin.location);
            }
        }
        let policy_set = self.guard.policy_set();
        self.guard.middlewares().register(
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

/// The service that [`RateLimit`] puts around the application's service.
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
            shared_limits::register(&middleware, request.request());
        }
        Box::pin(async move {
            let policy_set = policy_set(&middleware.guard, request.request());
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
                Err(early) => {
                    let early = early.into_response(middleware.guard.http(), request.request());
                    let mut response = request.into_response(early).map_into_right_body();
                    write_response_headers(&middleware, &mut response);
                    return Ok(response);
                }
            };
            // actix-web panics if a clone of the request exists while the inner service selects the route. So this
            // code has no clone of the request here.
            match service.call(request).await {
                Ok(response) => {
                    let (request, response) = response.into_parts();
                    let response = admission.on_response(response).await;
                    let mut response = ServiceResponse::new(request, response).map_into_left_body();
                    write_response_headers(&middleware, &mut response);
                    Ok(response)
                }
                Err(error) if admission.is_not_limited() => {
                    // No limit has decided, so there are no headers to write, and only the status of the response
                    // is needed. actix-web creates the response after this middleware has returned the error.
                    let status = error.as_response_error().status_code();
                    let _ = admission.on_response(HttpResponse::new(status)).await;
                    Err(error)
                }
                Err(mut error) => {
                    // The status of the response determines whether the request counts, so the response is created
                    // now.
                    let response = admission.on_response(error.error_response()).await;
                    if let Some(decision) = admission.combined_decision() {
                        add_headers(&mut error, response, decision, middleware.guard.clone());
                    }
                    Err(error)
                }
            }
        })
    }
}

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
        // The access list rejects the request for all limits, so the first function of a limit responds.
        let on_reject = limits.iter().find_map(|limit| limit.scope.on_reject.as_deref());
        not_checked.admit_if_exempt(request, on_reject)?;
        return Ok(Admission::not_limited(guard));
    }
    let mut checks = LimitChecks::new();
    for limit in &**limits {
        match limit.check(&context, request).await {
            Ok(check) => checks.push(check),
            Err(not_checked) => {
                not_checked.admit_if_exempt(request, limit.scope.on_reject.as_deref())?;
            }
        }
    }
    enforce(guard, policy_set, checks, cors::is_preflight(request), request).await
}

/// Writes header fields into a response. The fields report the decisions on the request.
fn write_response_headers<B>(middleware: &RateLimit, response: &mut ServiceResponse<B>) {
    let request = response.request().clone();
    write_headers(middleware.guard.http(), &request, response.headers_mut());
}
