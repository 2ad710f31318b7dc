//! The settings of a limit besides its quotas.

use std::{borrow::Cow, convert::Infallible, fmt::Display, sync::Arc};

use actix_rateguard_grammar::check_name;
use actix_web::{HttpRequest, HttpResponse};

use super::{limit::Limit, methods::IntoMethods};
use crate::{Ban, Count, Decision, MissingKey, OnError, Quotas, RequestCost, key::IntoKey};

/// The settings. The policies file and the macro attribute have settings with the same names.
impl Limit {
    /// Sets the key that requests are counted by. Default: `"ip"`, the client's address.
    ///
    /// The key is text in the notation of the macro attribute, such as `"header:X-Api-Key"` or `"user+path:tenant"`, a
    /// built-in key from [`key`](crate::key), or a closure or function over `&HttpRequest`. The function may be async
    /// and may fail. See [`Caller`](crate::Caller) for the values that the function may return.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::{Key, Limit, key};
    /// let per_user = Limit::new("100/minute").key("user");
    /// let per_user = Limit::new("100/minute").key(key::user());
    /// let per_tenant = Limit::new("100/minute").key(|request: &HttpRequest| {
    ///     let tenant = request.headers().get("X-Tenant")?;
    ///     Some(Key::from(tenant.as_bytes()))
    /// });
    /// ```
    pub fn key<Kind>(self, key: impl IntoKey<Kind>) -> Self {
        self.set(Some("key"), key.into_key(), |limit, key| {
            limit.key = key.resolver;
            limit.key_notation = key.notation;
        })
    }

    /// Sets the rule for requests without a key: a [`MissingKey`], or text such as `"deny"`. Default: `"ip"`, which
    /// counts them by client address.
    pub fn missing_key<M>(self, missing: M) -> Self
    where
        M: TryInto<MissingKey, Error: Display>,
    {
        self.set(Some("missing_key"), missing.try_into(), |limit, missing| {
            limit.scope.missing = missing;
        })
    }

    /// Sets the name of the limit, for keys and logs. Default: `app`, or `app#2` for the second limit of a middleware.
    /// Limits of one guard with the same name share their counts. If a guard has two or more limits, give each limit
    /// its own name.
    ///
    /// A name has 1 to 200 bytes, and contains only letters, digits and ASCII punctuation without braces.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let name = check_name(&name).map(|()| name);
        self.set_in_policy("name", name, |settings, name| settings.name = Some(name))
    }

    /// Sets the cost of a request in units: a number, a closure or function over `&HttpRequest`, or a
    /// [`BodyCost`](crate::BodyCost). Default: 1.
    ///
    /// A request that costs more than the limit is always denied. A request that costs 0 is always allowed, unless the
    /// client is banned. A number above the limit is an error of [`RateLimit::try_new`](crate::RateLimit::try_new).
    pub fn cost(mut self, cost: impl RequestCost) -> Self {
        self.cost = Arc::new(cost);
        self
    }

    /// Sets which responses make a request count: a [`Count`], or text such as `"failure"` or `"status:401"`. Default:
    /// `"all"`.
    ///
    /// With another value, the guard counts a request before the handler runs, and refunds the units if the response
    /// does not count. Concurrent requests can therefore not exceed the limit. If the client disconnects before the
    /// response, the request counts.
    pub fn count<C>(self, count: C) -> Self
    where
        C: TryInto<Count, Error: Display>,
    {
        self.set(Some("count"), count.try_into(), |limit, count| limit.scope.count = count)
    }

    /// Limits only requests with one of these methods: text such as `"POST, PUT"`, or an iterator of
    /// [`Method`](actix_web::http::Method)s. Default: all methods. Requests with any of these methods share one bucket.
    pub fn methods<Kind>(self, methods: impl IntoMethods<Kind>) -> Self {
        self.set(Some("methods"), methods.into_methods(), |limit, methods| {
            limit.scope.methods = methods;
        })
    }

    /// Exempts the requests for which the function returns `true`, such as health checks.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::Limit;
    /// let limit = Limit::new("100/minute").skip(|request: &HttpRequest| request.path() == "/health");
    /// ```
    pub fn skip(mut self, skip: impl Fn(&HttpRequest) -> bool + Send + Sync + 'static) -> Self {
        self.scope.skip = Some(Arc::new(skip));
        self
    }

    /// Bans clients that are denied too often: a [`Ban`], or text such as `"10/hour for 15m up to 1d"`. Default: no
    /// ban.
    pub fn ban<B>(self, ban: B) -> Self
    where
        B: TryInto<Ban, Error: Display>,
    {
        self.set_in_policy("ban", ban.try_into(), |settings, ban| settings.ban = Some(ban))
    }

    /// Puts this limit in shadow: the limit decides and counts, but denies no request. See
    /// [`Policy::shadow`](crate::Policy::shadow).
    ///
    /// A limit in shadow cannot have a [`candidate`](Self::candidate).
    pub fn shadow(self) -> Self {
        let valid = Ok::<(), Infallible>(());
        self.set_in_policy("shadow", valid, |settings, ()| settings.is_in_shadow = true)
    }

    /// Checks candidate quotas in shadow, in addition to the enforced quotas: a [`Quota`](crate::Quota), [`Quotas`], or
    /// text such as `"3/minute"`. See [`Policy::candidate`](crate::Policy::candidate).
    pub fn candidate<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Display>,
    {
        self.set_in_policy("candidate", quotas.try_into(), |settings, quotas| {
            settings.candidate = Some(quotas);
        })
    }

    /// Enforces the [`candidate`](Self::candidate) quotas for this percentage of the keys, from 0 to 100. Default: 0.
    /// See [`Policy::rollout`](crate::Policy::rollout).
    pub fn rollout(self, percent: u8) -> Self {
        let valid = Ok::<_, Infallible>(percent);
        self.set_in_policy("rollout", valid, |settings, percent| settings.rollout = Some(percent))
    }

    /// Sets the failure mode for the time while the store does not answer: an [`OnError`], or text such as `"closed"`.
    /// Default: the failure mode of the guard.
    pub fn on_error<E>(self, on_error: E) -> Self
    where
        E: TryInto<OnError, Error: Display>,
    {
        self.set_in_policy("on_error", on_error.try_into(), |settings, on_error| {
            settings.on_error = Some(on_error);
        })
    }

    /// Replaces the response to requests that this limit denies. Default: the response of
    /// [`RateGuardBuilder::on_denied`](crate::RateGuardBuilder::on_denied). That method describes the headers that
    /// RateGuard adds.
    pub fn on_denied(
        mut self,
        response: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.scope.on_denied = Some(Arc::new(response));
        self
    }
}
