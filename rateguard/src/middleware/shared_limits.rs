//! Warns if several parts of an application share the counts of a limit, although the program has set no name for it.
//!
//! The first limit of a middleware has the default name `app`, the second limit has the default name `app#2`, and so
//! on. Two limits with the same default name at different source locations are an error at startup. But if a function
//! creates the middlewares of two scopes, their limits also have the same source location. At startup, they look like
//! the limits of two workers, which must share their counts. A request shows the difference, because each worker has an
//! application of its own. So each middleware is recorded with its application at the middleware's first request.

use std::{
    cell::RefCell,
    ptr,
    rc::{Rc, Weak},
};

use actix_web::{HttpRequest, dev::ResourceMap};

use super::{middleware_limit::MiddlewareLimit, rate_limit::RateLimit};

/// A middleware on this thread that has had a request.
struct ServingMiddleware {
    /// The address of the application's resource map, which identifies the application. No other application can have
    /// this address as long as `middleware` can be upgraded, because the middleware and the map belong to one
    /// application.
    application: *const ResourceMap,
    middleware: Weak<RateLimit>,
}

thread_local! {
    static SERVING: RefCell<Vec<ServingMiddleware>> = const { RefCell::new(Vec::new()) };
}

/// Records a middleware at its first request. Logs a warning if another middleware of the same application, with the
/// same guard, has a limit with the same source location and the same default name. Logs only one warning for each
/// limit of a guard.
pub(super) fn record_first_request(middleware: &Rc<RateLimit>, request: &HttpRequest) {
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
    let is_shared_by_accident = |limit: &&MiddlewareLimit| {
        let is_same = |it: &MiddlewareLimit| {
            (it.location, it.policy.name()) == (limit.location, limit.policy.name())
        };
        limit.registration().is_some_and(|it| !it.origin.has_name)
            && other.limits.iter().any(is_same)
    };
    for limit in middleware.limits.iter().filter(is_shared_by_accident) {
        let (name, location) = (limit.policy.name(), limit.location);
        if middleware.guard.middlewares().is_first_report(location, name) {
            log::warn!(
                target: "rateguard",
                "the limit at {location} has no name and belongs to several parts of one application, which share its counts as `{name}`. To count separately, give the limit of each part its own name with `.name(\"…\")`. To share the counts, set one name for all of them"
            );
        }
    }
}
