//! The middleware.

use std::{fmt, panic::Location, sync::Arc};

use actix_rateguard_core::adapter::PLACEHOLDER_QUOTA;

use super::limit::MiddlewareLimit;
use crate::{
    AccessList, PerRequest, Plan, Policy, Quotas, RateError, RateGuard, applicability::LimitScope,
    expect_valid::expect_valid, key, per_request::RequestResolver,
};

/// The default name of a limit. If two limits of one guard have no name of their own, the application panics at
/// startup.
const DEFAULT_NAME: &str = "app";

/// A middleware that limits an `App`, a `Scope` or a `Resource`.
///
/// ```
/// # use actix_web::{App, web};
/// # use actix_rateguard::{RateGuard, RateLimit, key};
/// let guard = RateGuard::in_memory();
/// let app = App::new()
///     .service(
///         web::scope("/api")
///             .wrap(RateLimit::new(&guard, "10/second").key(key::header("X-Api-Key")).name("api")),
///     )
///     .wrap(RateLimit::new(&guard, "100/minute"));
/// ```
///
/// A denied request gets a response with status 429. The middleware returns a response and not an error, so outer
/// middlewares such as actix-cors process the response. In actix-web, the middleware that is registered last runs
/// first.
#[derive(Clone)]
pub struct RateLimit {
    pub(super) guard: RateGuard,
    /// The limits, at least one.
    pub(crate) limits: Arc<Vec<MiddlewareLimit>>,
    pub(crate) access: Arc<AccessList>,
    pub(crate) counts_preflights: bool,
}

impl RateLimit {
    /// Creates a middleware with one limit, which counts by client address unless [`key`](Self::key) sets another key.
    ///
    /// The quotas may be a [`Quota`](crate::Quota), [`Quotas`], or text such as `"100/minute"` or `"5/second;
    /// 100/minute"`. A request is allowed if all of its quotas have room.
    ///
    /// # Panics
    ///
    /// If the text is not a valid quota. The panic happens while the application is built, not in a request. To handle
    /// the error, parse the text first: `"100/minute".parse::<Quotas>()?`.
    #[must_use]
    #[track_caller]
    pub fn new<Q>(guard: &RateGuard, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        Self::of(guard).and(quotas)
    }

    /// Creates a middleware with one limit whose quotas are chosen for each request.
    ///
    /// `plan` is a closure or function over `&HttpRequest` that returns a [`Plan`] or a value that converts into a
    /// `Plan`. The function may be async, for example to read a user's plan from a database, and may fail. An error of
    /// the function becomes the response.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Plan, RateGuard, RateLimit, key};
    /// # async fn plan_in_database(_: &str) -> Result<Plan, std::io::Error> { Ok(Plan::Unlimited) }
    /// # let guard = RateGuard::in_memory();
    /// let limit = RateLimit::per_request(&guard, async |request: &HttpRequest| {
    ///     let key = request.headers().get("X-Api-Key").and_then(|key| key.to_str().ok());
    ///     plan_in_database(key.unwrap_or_default()).await
    /// });
    /// let limit = limit.key(key::header("X-Api-Key"));
    /// ```
    #[must_use]
    #[track_caller]
    pub fn per_request<Kind>(guard: &RateGuard, plan: impl PerRequest<Plan, Kind>) -> Self {
        Self::of(guard).and_per_request(plan)
    }

    /// Creates a middleware with one limit that uses the guard's policy of this name. All limits that use the policy
    /// share its counts.
    ///
    /// # Panics
    ///
    /// If the guard has no policy of this name from its [builder](crate::RateGuardBuilder::policy) or policies file.
    /// The panic happens while the application is built.
    #[must_use]
    #[track_caller]
    pub fn policy(guard: &RateGuard, name: &str) -> Self {
        Self::of(guard).and_policy(name)
    }

    fn of(guard: &RateGuard) -> Self {
        Self {
            guard: guard.clone(),
            limits: Arc::default(),
            access: Arc::default(),
            counts_preflights: false,
        }
    }

    /// Adds a further limit. The settings that follow apply to this limit.
    ///
    /// A request is allowed if all limits have room. Otherwise, no limit counts the request.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, RateLimit, key};
    /// # let guard = RateGuard::in_memory();
    /// let both = RateLimit::new(&guard, "10/second")
    ///     .key(key::user())
    ///     .name("per-user")
    ///     .and("1000/second")
    ///     .key(key::header("X-Tenant"))
    ///     .name("per-tenant");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[must_use]
    #[track_caller]
    pub fn and<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let policy = expect_valid(Policy::new(self.next_name(), quotas));
        self.and_limit(policy, false, None, Some(Location::caller()))
    }

    /// Adds a further limit whose quotas are chosen for each request. See [`per_request`](Self::per_request) and
    /// [`and`](Self::and).
    #[must_use]
    #[track_caller]
    pub fn and_per_request<Kind>(self, plan: impl PerRequest<Plan, Kind>) -> Self {
        let policy = expect_valid(Policy::new(self.next_name(), PLACEHOLDER_QUOTA));
        self.and_limit(policy, false, Some(plan.into_resolver()), Some(Location::caller()))
    }

    /// Adds a further limit that uses the guard's policy of this name. See [`policy`](Self::policy) and
    /// [`and`](Self::and).
    ///
    /// # Panics
    ///
    /// As [`policy`](Self::policy).
    #[must_use]
    #[track_caller]
    pub fn and_policy(self, name: &str) -> Self {
        let unknown = || {
            format!(
                "the guard has no policy named `{name}`; add it with `RateGuard::builder().policy(…)`"
            )
        };
        let policy = expect_valid(self.guard.policy(name).ok_or_else(unknown));
        self.and_limit(policy, true, None, None)
    }

    fn next_name(&self) -> String {
        match self.limits.len() {
            0 => DEFAULT_NAME.to_owned(),
            count => format!("{DEFAULT_NAME}#{}", count + 1),
        }
    }

    #[track_caller]
    fn and_limit(
        mut self,
        policy: Policy,
        is_of_guard: bool,
        plan: Option<RequestResolver<Plan>>,
        unnamed_at: Option<&'static Location<'static>>,
    ) -> Self {
        let limit = MiddlewareLimit {
            policy,
            is_of_guard,
            plan,
            key: key::ip().into_resolver(),
            key_notation: "ip".into(),
            cost: Arc::new(1),
            scope: LimitScope::default(),
            location: Location::caller(),
            unnamed_at,
        };
        Arc::make_mut(&mut self.limits).push(limit);
        self
    }

    /// Changes the last limit.
    pub(super) fn update_last(mut self, change: impl FnOnce(&mut MiddlewareLimit)) -> Self {
        Arc::make_mut(&mut self.limits).last_mut().map(change);
        self
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policies: Vec<_> = self.limits.iter().map(|limit| &limit.policy).collect();
        f.debug_struct("RateLimit").field("policies", &policies).finish_non_exhaustive()
    }
}
