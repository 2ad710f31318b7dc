//! The implementation of actix-web's traits `Transform` and `Service` for the middleware.

use std::rc::Rc;

use actix_rateguard_core::adapter::PolicySet;
use actix_web::{
    Error, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        Method,
        header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
    },
};
use futures_util::future::{LocalBoxFuture, Ready, ready};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit};
#[cfg(feature = "test-util")]
use crate::route_probe::RouteProbe;
use crate::{
    client,
    enforce::{Admission, enforce},
    expect_valid::expect_valid,
    inventory::ActiveMiddleware,
    limit_check::LimitChecks,
    limit_context::{LimitContext, Purpose},
    not_checked::{Exemption, NotChecked},
    request_policies::policy_set,
    request_state::write_headers,
    response::{LimitedError, Rejection},
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
            expect_valid(self.guard.register_name(registration));
        }
        let policy_set = self.guard.policy_set();
        self.guard.middlewares().register(
            &self.guard,
            &policy_set,
            ActiveMiddleware {
                limits: &self.limits,
                access: &self.access,
                counts_preflights: self.counts_preflights,
            },
        );
        ready(Ok(RateLimitMiddleware {
            service: Rc::new(service),
            middleware: Rc::new(self.clone()),
        }))
    }
}

/// The service that [`RateLimit`] puts around the application's service.
#[doc(hidden)]
pub struct RateLimitMiddleware<S> {
    service: Rc<S>,
    middleware: Rc<RateLimit>,
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
                Err(rejection) => {
                    let rejection =
                        rejection.into_response(middleware.guard.http(), request.request());
                    let mut response = request.into_response(rejection).map_into_right_body();
                    write_response_headers(&middleware, &mut response);
                    return Ok(response);
                }
            };
            // actix-web panics if a clone of the request exists while the inner service selects the route. So this
            // code has no clone of the request here.
            match service.call(request).await {
                Ok(response) => {
                    let mut response = response.map_into_left_body();
                    admission.on_response(response.status()).await;
                    write_response_headers(&middleware, &mut response);
                    Ok(response)
                }
                Err(error) if admission.is_not_limited() => {
                    // No limit has decided, so there are no headers to write, and only the status of the response
                    // is needed. actix-web creates the response after this middleware has returned the error.
                    admission.on_response(error.as_response_error().status_code()).await;
                    Err(error)
                }
                Err(error) => {
                    // The status of the response determines whether the request counts, so the response is created
                    // now. `LimitedError` stores this response, because some errors can create their response only
                    // once.
                    let response = error.error_response();
                    admission.on_response(response.status()).await;
                    // The error contains the decision, so that outer middlewares can combine this decision with
                    // their decisions.
                    match admission.decision() {
                        Some(decision) => {
                            let guard = middleware.guard.clone();
                            Err(LimitedError::new(error, response, decision, guard).into())
                        }
                        None => Err(error),
                    }
                }
            }
        })
    }
}

async fn admit<'a>(
    middleware: &'a RateLimit,
    policy_set: &'a PolicySet,
    request: &HttpRequest,
) -> Result<Admission<'a>, Rejection> {
    let RateLimit { guard, limits, access, counts_preflights } = middleware;
    client::resolve(guard.http(), request);
    let (middleware_access, purpose) = (Some(&**access), Purpose::Enforce);
    let context = LimitContext { guard, policy_set, middleware_access, purpose };
    if let Err(not_checked) = check_middleware(&context, *counts_preflights, request) {
        not_checked.admit_if_exempt()?;
        return Ok(Admission::not_limited(guard));
    }
    let mut checks = LimitChecks::new();
    for limit in &**limits {
        match limit.check(&context, request).await {
            Ok(check) => checks.push(check),
            Err(not_checked) => not_checked.admit_if_exempt()?,
        }
    }
    enforce(guard, policy_set, checks, request).await
}

/// Applies the rules that are the same for all limits of a middleware: the access lists for addresses, and the rule
/// for CORS preflights.
///
/// # Errors
///
/// [`NotChecked`] if a rule exempts or rejects the request.
pub(crate) fn check_middleware(
    context: &LimitContext<'_>,
    counts_preflights: bool,
    request: &HttpRequest,
) -> Result<(), NotChecked> {
    context.check_address(request)?;
    match !counts_preflights && is_preflight(request) {
        true => Err(NotChecked::Exempt(Exemption::Preflight)),
        false => Ok(()),
    }
}

/// Returns whether the request looks like a CORS preflight (Fetch standard, section 3.2.2). A browser sends
/// preflights by itself, before it sends the request of a script.
fn is_preflight(request: &HttpRequest) -> bool {
    let has = |name| request.headers().contains_key(name);
    *request.method() == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Writes header fields into a response. The fields report the decisions on the request.
fn write_response_headers<B>(middleware: &RateLimit, response: &mut ServiceResponse<B>) {
    let request = response.request().clone();
    write_headers(middleware.guard.http(), &request, response.headers_mut());
}
