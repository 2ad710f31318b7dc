//! The implementation of actix-web's traits `Transform` and `Service` for the middleware.

use std::{cell::Cell, rc::Rc};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
};
use futures_util::future::{Ready, ready};

use super::{
    middleware_limit::MiddlewareLimit,
    rate_limit::RateLimit,
    response_future::{LimitedBody, RateLimitFuture},
    shared_limits,
};
use crate::{expect_valid::expect_valid, inventory::ActiveMiddleware, unnamed_limits};
#[cfg(feature = "test-util")]
use {
    crate::{request_policies::policy_set, route_probe::RouteProbe},
    futures_util::FutureExt,
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
    type Response = ServiceResponse<LimitedBody<B>>;
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
    type Response = ServiceResponse<LimitedBody<B>>;
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
        // A test sends a route probe to find out whether a limit applies to the route. The middleware counts
        // nothing for it. If a limit applies, the middleware responds, and otherwise the probe goes on to inner
        // limits.
        #[cfg(feature = "test-util")]
        if let Some(probe) = RouteProbe::of(request.request()) {
            let policies = policy_set(&middleware.guard, request.request());
            let applies = |limit: &MiddlewareLimit| {
                let overrides = limit.overrides(&policies);
                let check = limit.scope.check_applies(overrides, request.request());
                // A probe counts a limit with an async `skip` function as one that applies.
                FutureExt::now_or_never(check).is_none_or(|result| result.is_ok())
                    && !limit.is_replaced(&middleware.guard, request.request())
            };
            probe.record(middleware.limits.iter().any(applies));
            if probe.found_limit() {
                let response = request.into_response(RouteProbe::response());
                return RateLimitFuture::ready(response.map_into_right_body());
            }
        }
        RateLimitFuture::new(request, Rc::clone(middleware), Rc::clone(&self.service))
    }
}
