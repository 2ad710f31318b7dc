//! The settings of a middleware limit besides its quotas.

use std::{borrow::Cow, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::Method};

use super::{limit::MiddlewareLimit, rate_limit::RateLimit};
use crate::{
    AccessList, Ban, BanSpecError, Caller, Count, Decision, MissingKey, OnError, PerRequest,
    Policy, PolicyError, Quotas, RateError, RequestCost, expect_valid::expect_valid,
    inventory::FUNCTION,
};

/// Settings of the limits. A method sets a value of the last limit, unless its documentation says that the value
/// applies to all limits.
impl RateLimit {
    /// Sets the key that requests are counted by. Default: [`key::ip`](crate::key::ip), the client's address.
    ///
    /// The key is a built-in key from [`key`](crate::key), or a closure or function over `&HttpRequest`. The function
    /// may be async and may fail. See [`Caller`] for the values that the function may return.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Key, RateGuard, RateLimit};
    /// # let guard = RateGuard::in_memory();
    /// let per_tenant = RateLimit::new(&guard, "100/minute").key(|request: &HttpRequest| {
    ///     let tenant = request.headers().get("X-Tenant")?;
    ///     Some(Key::from(tenant.as_bytes()))
    /// });
    /// ```
    #[must_use]
    pub fn key<Kind>(self, key: impl PerRequest<Caller, Kind>) -> Self {
        let notation = key.notation().unwrap_or_else(|| FUNCTION.to_owned());
        self.update_last(|limit| {
            limit.key = key.into_resolver();
            limit.key_notation = notation.into();
        })
    }

    /// Sets the rule for requests without a key. Default: [`MissingKey::Ip`], which counts them by client address.
    #[must_use]
    pub fn missing_key(self, missing: MissingKey) -> Self {
        self.update_last(|limit| limit.scope.missing = missing)
    }

    /// Sets the name of the limit, for keys and logs. Default: `app`. Limits of one guard with the same name share
    /// their counts. If a guard has two or more limits, give each limit its own name.
    ///
    /// # Panics
    ///
    /// If the name is empty, is longer than 200 bytes, or contains other characters than letters, digits and ASCII
    /// punctuation without braces. Also if the limit uses a policy of the guard, because that policy already has a
    /// name. The panic happens while the application is built.
    #[must_use]
    #[track_caller]
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        expect_valid(self.check_settable("name"));
        let Some(MiddlewareLimit { policy, .. }) = self.limits.last() else { return self };
        let policy = expect_valid(policy.clone().named(&name.into()));
        self.update_last(|limit| {
            limit.policy = policy;
            limit.unnamed_at = None;
        })
    }

    /// Sets the cost of a request in units: a number, a closure or function over `&HttpRequest`, or a
    /// [`BodyCost`](crate::BodyCost). Default: 1.
    ///
    /// A request that costs more than the limit is always denied. A request that costs 0 is always allowed, unless the
    /// client is banned. If the cost is a number above the limit, the application panics at startup.
    #[must_use]
    pub fn cost(self, cost: impl RequestCost) -> Self {
        self.update_last(|limit| limit.cost = Arc::new(cost))
    }

    /// Sets which responses make a request count. Default: [`Count::All`].
    ///
    /// With another value, the guard counts a request before the handler runs, and refunds the units if the response
    /// does not count. Concurrent requests can therefore not exceed the limit. If the client disconnects before the
    /// response, the request counts.
    #[must_use]
    pub fn count(self, count: Count) -> Self {
        self.update_last(|limit| limit.scope.count = count)
    }

    /// Limits only requests with one of these methods. Default: all methods. Requests with any of these methods share
    /// one bucket.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.update_last(|limit| limit.scope.methods = methods.into_iter().collect())
    }

    /// Exempts the requests for which the function returns `true`, such as health checks.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{RateGuard, RateLimit};
    /// # let guard = RateGuard::in_memory();
    /// let limit = RateLimit::new(&guard, "100/minute")
    ///     .skip(|request: &HttpRequest| request.path() == "/health");
    /// ```
    #[must_use]
    pub fn skip(self, skip: impl Fn(&HttpRequest) -> bool + Send + Sync + 'static) -> Self {
        self.update_last(|limit| limit.scope.skip = Some(Arc::new(skip)))
    }

    /// Bans clients that are denied too often: a [`Ban`], or text such as `"10/hour for 15m up to 1d"`. Default: no
    /// ban.
    ///
    /// # Panics
    ///
    /// If the text is not a valid ban, or the limit uses a policy of the guard, because that policy sets the ban. The
    /// panic happens while the application is built.
    #[must_use]
    #[track_caller]
    pub fn ban<B>(self, ban: B) -> Self
    where
        B: TryInto<Ban, Error: Into<BanSpecError>>,
    {
        expect_valid(self.check_settable("ban"));
        let ban = expect_valid(ban.try_into().map_err(Into::into));
        self.update_last(|limit| limit.policy = limit.policy.clone().with_ban(Some(ban)))
    }

    /// Puts this limit in shadow: the limit decides and counts, but denies no request. See
    /// [`Policy::shadow`](crate::Policy::shadow).
    ///
    /// # Panics
    ///
    /// If the limit uses a policy of the guard, because that policy sets the shadow mode. The panic happens while the
    /// application is built.
    #[must_use]
    #[track_caller]
    pub fn shadow(self) -> Self {
        expect_valid(self.check_settable("shadow"));
        self.update_last(|limit| limit.policy = limit.policy.clone().shadow())
    }

    /// Checks candidate quotas in shadow, in addition to the enforced quotas. See
    /// [`Policy::candidate`](crate::Policy::candidate).
    ///
    /// # Panics
    ///
    /// If the text is not a valid quota, or the limit is in shadow or uses a policy of the guard. The panic happens
    /// while the application is built.
    #[must_use]
    #[track_caller]
    pub fn candidate<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        expect_valid(self.check_settable("candidate"));
        self.update_policy(|policy| policy.candidate(quotas))
    }

    /// Enforces the candidate quotas for this percentage of the keys. See [`Policy::rollout`](crate::Policy::rollout).
    ///
    /// # Panics
    ///
    /// If the percentage is above 100, or the limit has no candidate or uses a policy of the guard. The panic happens
    /// while the application is built.
    #[must_use]
    #[track_caller]
    pub fn rollout(self, percent: u8) -> Self {
        expect_valid(self.check_settable("rollout"));
        self.update_policy(|policy| policy.rollout(percent))
    }

    #[track_caller]
    fn update_policy(self, change: impl FnOnce(Policy) -> Result<Policy, PolicyError>) -> Self {
        let Some(MiddlewareLimit { policy, .. }) = self.limits.last() else { return self };
        let policy = expect_valid(change(policy.clone()));
        self.update_last(|limit| limit.policy = policy)
    }

    /// Replaces the response to requests that this limit denies. Default: the response of
    /// [`RateGuardBuilder::on_denied`](crate::RateGuardBuilder::on_denied). That method describes the headers that
    /// RateGuard adds.
    #[must_use]
    pub fn on_denied(
        self,
        response: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.update_last(|limit| limit.scope.on_denied = Some(Arc::new(response)))
    }

    /// Sets the clients that this middleware never limits, and the clients that it always rejects with 403. The list
    /// applies to all limits of this middleware. The guard's own list is applied before this list. Default: an empty
    /// list.
    #[must_use]
    pub fn access(mut self, list: AccessList) -> Self {
        self.access = Arc::new(list);
        self
    }

    /// Counts CORS preflights, too. This setting applies to all limits of this middleware.
    ///
    /// By default, preflights pass and do not count: a browser sends them by itself, and a script cannot read the
    /// response to a denied preflight. A request looks like a preflight if its method is `OPTIONS` and it has the
    /// headers `Origin` and `Access-Control-Request-Method`. Any client can send such a request, so use this setting
    /// where handlers do work for `OPTIONS` requests.
    #[must_use]
    pub fn count_preflights(mut self) -> Self {
        self.counts_preflights = true;
        self
    }

    /// Sets the failure mode for the time while the store does not answer. Default: the failure mode of the guard.
    ///
    /// # Panics
    ///
    /// If the limit uses a policy of the guard, because that policy sets the failure mode. The panic happens while the
    /// application is built.
    #[must_use]
    #[track_caller]
    pub fn on_error(self, on_error: OnError) -> Self {
        expect_valid(self.check_settable("on_error"));
        self.update_last(|limit| limit.policy = limit.policy.clone().on_error(on_error))
    }

    /// Returns an error if the last limit uses a policy of the guard, because that policy determines the setting.
    fn check_settable(&self, setting: &str) -> Result<(), String> {
        match self.limits.last() {
            Some(limit) if limit.is_of_guard => Err(format!(
                "the policy `{}` already sets this; remove `{setting}`",
                limit.policy.name()
            )),
            _ => Ok(()),
        }
    }
}
