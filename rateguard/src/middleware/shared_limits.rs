//! Warns about a limit without a name that several parts of one application share by accident.
//!
//! A function that creates a middleware for two scopes creates two limits with the same default name, which share
//! their counts. When the application starts, such limits cannot be distinguished from the limits of other workers.
//! So the first request to each middleware registers the middleware together with its application.

use std::{
    cell::RefCell,
    ptr,
    rc::{Rc, Weak},
};

use actix_web::{HttpRequest, dev::ResourceMap};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit};

/// A middleware of this thread that has had a request.
struct ServingMiddleware {
    /// The address of the application's resource map. While the application has the middleware, no other application
    /// can have this address.
    application: *const ResourceMap,
    middleware: Weak<RateLimit>,
}

thread_local! {
    static SERVING: RefCell<Vec<ServingMiddleware>> = const { RefCell::new(Vec::new()) };
}

/// Registers a middleware at its first request. Logs a warning if another middleware of the same application has the
/// same limit, and the limit has no name. The guard logs the warning once for each limit.
pub(super) fn register(middleware: &Rc<RateLimit>, request: &HttpRequest) {
    let application = ptr::from_ref(request.resource_map());
    SERVING.with_borrow_mut(|serving| {
        serving.retain(|it| it.middleware.strong_count() > 0);
        let others = serving.iter().filter(|it| it.application == application);
        for other in others.filter_map(|it| it.middleware.upgrade()) {
            warn_about_shared_limits(middleware, &other);
        }
        serving.push(ServingMiddleware { application, middleware: Rc::downgrade(middleware) });
    });
}

fn warn_about_shared_limits(middleware: &RateLimit, other: &RateLimit) {
    if middleware.guard.id() != other.guard.id() {
        return;
    }
    let is_shared = |limit: &&MiddlewareLimit| {
        let is_same = |it: &MiddlewareLimit| {
            (it.location, it.policy.name()) == (limit.location, limit.policy.name())
        };
        limit.registration().is_some_and(|it| !it.origin.has_name)
            && other.limits.iter().any(is_same)
    };
    for limit in middleware.limits.iter().filter(is_shared) {
        let (name, location) = (limit.policy.name(), limit.location);
        if middleware.guard.middlewares().report_as_shared(location, name) {
            log::warn!(
                target: "rateguard",
                "the limit at {location} has no name and belongs to several parts of one application, which share its counts as `{name}`. To count separately, give the limit of each part its own name with `.name(\"…\")`. To share the counts, set one name for all of them"
            );
        }
    }
}
