//! The middleware that limits an application, a scope or a resource.

use std::{fmt, panic::Location, sync::Arc};

use super::{
    limit::Limit,
    limit_error::{LimitError, LimitProblem},
    middleware_limit::MiddlewareLimit,
};
use crate::{AccessList, RateGuard, expect_valid::expect_valid};

/// The default name of a limit. Two limits of one guard at different places in the source cannot both have it.
const DEFAULT_NAME: &str = "app";

/// A middleware that limits an `App`, a `Scope` or a `Resource`.
///
/// ```
/// # use actix_web::{App, web};
/// # use actix_rateguard::{Limit, RateGuard, RateLimit};
/// let guard = RateGuard::in_memory();
/// let per_key = Limit::new("10/second").key("header:X-Api-Key").name("api");
/// let app = App::new()
///     .service(web::scope("/api").wrap(RateLimit::new(&guard, per_key)))
///     .wrap(RateLimit::new(&guard, "100/minute"));
/// ```
///
/// A denied request gets a response with status 429. The middleware returns a response instead of an error, so that
/// outer middlewares such as actix-cors can process the response. In actix-web, the middleware that is registered
/// last is the outermost middleware and runs first.
///
/// Call `wrap` for actix-cors after the call of `wrap` for this middleware. Then actix-cors is the outer middleware: it
/// responds to CORS preflights before the limits check them, and scripts in browsers can read rejections.
///
/// A preflight that reaches the limits counts like any other request, because the preflight can also reach a handler.
/// If a CORS middleware inside this middleware responds to the preflight, the guard refunds the units of the preflight.
/// The guard recognizes such a response by two headers: `Access-Control-Allow-Methods`, and `Vary` with the value
/// `Access-Control-Request-Method`. If a handler responds to a preflight with these two headers, the guard refunds the
/// units, too.
#[derive(Clone)]
pub struct RateLimit {
    pub(super) guard: RateGuard,
    /// The list of limits, which is never empty.
    pub(crate) limits: Arc<Vec<MiddlewareLimit>>,
    pub(crate) access: Arc<AccessList>,
}

impl RateLimit {
    /// Creates a middleware with one limit. The limit is a [`Limit`], a [`Quota`](crate::Quota),
    /// [`Quotas`](crate::Quotas), or text such as `"100/minute"` or `"5/second; 100/minute"`.
    ///
    /// # Panics
    ///
    /// The function panics if [`try_new`](Self::try_new) would return an error. The panic occurs when the application
    /// creates the middleware, not when a request arrives.
    #[must_use]
    #[track_caller]
    pub fn new(guard: &RateGuard, limit: impl Into<Limit>) -> Self {
        expect_valid(Self::try_new(guard, limit))
    }

    /// Does the same as [`new`](Self::new), but returns an error if `new` would panic.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, RateLimit, error::LimitError};
    /// # fn from_settings(guard: &RateGuard, rate: String) -> Result<RateLimit, LimitError> {
    /// RateLimit::try_new(guard, rate)
    /// # }
    /// # let error = from_settings(&RateGuard::in_memory(), "100/minut".to_owned()).unwrap_err();
    /// # assert!(error.to_string().starts_with("the limit without a name at "));
    /// ```
    ///
    /// # Errors
    ///
    /// [`LimitError`], if one of these conditions holds:
    ///
    /// - A setting of the limit is invalid, for example its quotas, name or key.
    /// - Two settings exclude each other, or a [rollout](Limit::rollout) has no candidate.
    /// - The limit uses a policy that the guard does not have.
    /// - The limit uses a policy of the guard, and sets a value that this policy already sets.
    /// - The limit has a constant cost that is above its quotas, so every request would be denied.
    /// - The guard has a policy with the limit's name but with a different quota, ban or shadow setting.
    /// - A limit of another middleware, or of a macro attribute that this guard serves, has the same name but a
    ///   different quota, ban or shadow setting.
    /// - This limit has no name, and a limit at another place in the source has no name either. So both would have the
    ///   same default name.
    ///
    /// The guard compares the limit with the limits of all middlewares that still exist or that a worker has started.
    /// If the program drops a middleware before a worker starts it, other limits can use its names again.
    #[track_caller]
    pub fn try_new(guard: &RateGuard, limit: impl Into<Limit>) -> Result<Self, LimitError> {
        let empty = Self { guard: guard.clone(), limits: Arc::default(), access: Arc::default() };
        empty.try_and(limit)
    }

    /// Adds one more limit to the middleware.
    ///
    /// A request is allowed only if each limit has room for it. If one limit denies the request, no limit of this
    /// middleware counts it.
    ///
    /// ```
    /// # use actix_rateguard::{Limit, RateGuard, RateLimit, key};
    /// # let guard = RateGuard::in_memory();
    /// let both = RateLimit::new(&guard, Limit::new("10/second").key("user").name("per-user"))
    ///     .and(Limit::new("1000/second").key(key::header("X-Tenant")).name("per-tenant"));
    /// ```
    ///
    /// # Panics
    ///
    /// The function panics if [`try_and`](Self::try_and) would return an error. The panic occurs when the application
    /// creates the middleware, not when a request arrives.
    #[must_use]
    #[track_caller]
    pub fn and(self, limit: impl Into<Limit>) -> Self {
        expect_valid(self.try_and(limit))
    }

    /// Does the same as [`and`](Self::and), but returns an error if `and` would panic.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for the same reasons as for [`try_new`](Self::try_new), or if another limit of this
    /// middleware has the same name.
    #[track_caller]
    pub fn try_and(mut self, limit: impl Into<Limit>) -> Result<Self, LimitError> {
        let default_name = match self.limits.len() {
            0 => DEFAULT_NAME.to_owned(),
            count => format!("{DEFAULT_NAME}#{}", count + 1),
        };
        let location = Location::caller();
        let limit = limit.into();
        let name = limit.name_or(&default_name);
        if self.limits.iter().any(|other| other.policy.name() == name) {
            return Err(LimitError::new(name, true, location, LimitProblem::DuplicateName));
        }
        let limit = MiddlewareLimit::new(&self.guard, limit, &default_name, location)?;
        Arc::make_mut(&mut self.limits).push(limit);
        Ok(self)
    }

    /// Sets the clients that this middleware never limits, and the clients that it always rejects with 403. The
    /// middleware applies the guard's access list first, and then this list. Default: an empty list.
    #[must_use]
    pub fn access(mut self, list: AccessList) -> Self {
        self.access = Arc::new(list);
        self
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies: Vec<_> = self.limits.iter().map(|limit| &limit.policy).collect();
        f.debug_struct("RateLimit").field("policies", &policies).finish_non_exhaustive()
    }
}
