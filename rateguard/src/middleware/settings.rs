//! The methods of [`Limit`] that set everything except the quotas of the limit.

use std::{borrow::Cow, convert::Infallible, fmt::Display, sync::Arc};

use actix_rateguard_grammar::{LeaseSize, check_name, escape_for_display, parse_window};
use actix_web::{HttpRequest, HttpResponse};

use super::{
    count::IntoCount,
    limit::{Limit, QuotaSource},
    methods::IntoMethods,
};
use crate::{
    Ban, MissingKey, OnError, PerRequest, Quota, Quotas, Rejection, Wait, cost::IntoCost,
    key::IntoKey, on_reject::OnReject,
};

/// The settings of a limit. The macro attribute and the policies file have settings with the same names.
impl Limit {
    /// Sets the key by which the limit counts requests. Default: `"ip"`, which is the client's address.
    ///
    /// The key is one of these values:
    ///
    /// - text in the notation of the macro attribute, such as `"header:X-Api-Key"` or `"user+path:tenant"`;
    /// - a built-in key from the module [`key`](crate::key);
    /// - a closure or function that takes `&HttpRequest`. The function can be async and can return an error.
    ///   [`Caller`](crate::Caller) describes the values that the function can return.
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
            limit.reads_body = key.reads_body;
        })
    }

    /// Sets the rule for requests without a key. The rule is a [`MissingKey`], or text such as `"deny"`. Default:
    /// `"ip"`, which counts such requests by the client's address.
    pub fn missing_key<M>(self, missing: M) -> Self
    where
        M: TryInto<MissingKey, Error: Display>,
    {
        self.set(Some("missing_key"), missing.try_into(), |limit, missing| {
            limit.scope.missing = missing;
        })
    }

    /// Sets the quotas for requests whose plan is not known: the function of [`Limit::plan`] returned an error, or chose a
    /// plan that the guard does not have, or a text that is not valid. The log has the reason. Default: none, so that the
    /// error of the function becomes the response, and the other requests get a response with status 500.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::Limit;
    /// # async fn limits_in_database(_: &str) -> Result<String, std::io::Error> { Ok("1000/minute".to_owned()) }
    /// let limit = Limit::plan(async |request: &HttpRequest| {
    ///     let key = request.headers().get("X-Api-Key").and_then(|key| key.to_str().ok());
    ///     limits_in_database(key.unwrap_or_default()).await // text such as "1000/minute", or the name of a plan
    /// });
    /// let limit = limit.plan_fallback("10/minute").key("header:X-Api-Key");
    /// ```
    pub fn plan_fallback<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Display>,
    {
        self.set(Some("plan_fallback"), quotas.try_into(), |limit, quotas| {
            limit.scope.plan_fallback = Some(Arc::new(quotas));
        })
    }

    /// Sets the name of the limit, which appears in logs and in the keys of the store. Default: `app`, or `app#2` for
    /// the second limit of a middleware. If a guard has two or more limits, usually give each limit its own name.
    ///
    /// If several limits of a guard have the same name, they share their counts. If a request is checked by several
    /// limits with the same name and the same key, it counts once. A function that creates a limit for each of several
    /// scopes should have a parameter for the name. If the function sets no name, the scopes share one count for each
    /// key, and the guard logs a warning.
    ///
    /// A name has 1 to 200 bytes, and contains only letters, digits and ASCII punctuation without braces.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        let name = check_name(&name).map(|()| name);
        self.set_in_policy("name", name, |settings, name| settings.name = Some(name))
    }

    /// Sets the cost of a request in units. The cost is a number, a closure or function over `&HttpRequest`, or a
    /// [`BodyCost`](crate::BodyCost). The function can be async and can return an error, which becomes the response.
    /// Default: 1.
    ///
    /// A request that costs more than the limit is always denied. A request that costs 0 is denied only if the client
    /// is banned. If the cost is a number above the limit, [`RateLimit::try_new`](crate::RateLimit::try_new) returns an
    /// error.
    pub fn cost<Kind>(mut self, cost: impl IntoCost<Kind>) -> Self {
        self.cost = cost.into_cost();
        self
    }

    /// Sets the responses after which the limit counts a request. Default: `"all"`. The value is one of these:
    ///
    /// - text such as `"failure"`, `"status:401,403"` or `"status:!5xx"`, or a [`Count`](crate::Count);
    /// - a closure or function over `&HttpResponse<()>` that returns `true` if the request counts. If a handler has
    ///   returned an error, [`HttpResponse::error`] returns this error. If an inner middleware has returned an error,
    ///   the function gets the response that actix-web creates from the error, and `HttpResponse::error` returns
    ///   `None`.
    ///
    /// ```
    /// # use actix_web::HttpResponse;
    /// # use actix_rateguard::Limit;
    /// let limit = Limit::new("5/minute")
    ///     .count(|response: &HttpResponse<()>| response.headers().contains_key("X-Login-Failed"));
    /// ```
    ///
    /// With every value, the guard counts each request before the handler runs, so concurrent requests cannot exceed
    /// the limit. After the response, the guard refunds the units of a request that does not count. If actix-web drops
    /// a request because its client has disconnected, there is no response, and the request counts. So a client cannot
    /// avoid its limit by closing connections.
    pub fn count<Kind>(self, count: impl IntoCount<Kind>) -> Self {
        self.set(Some("count"), count.into_rule(), |limit, count| limit.scope.count = count)
    }

    /// Applies the limit only to requests with one of these methods. The value is text such as `"POST, PUT"`, or an
    /// iterator of [`Method`](actix_web::http::Method)s. Default: all methods. Requests with the same key share one
    /// count, even if their methods differ.
    ///
    /// `GET` includes `HEAD`, because a `HEAD` request makes the handler do the same work. `HEAD` alone does not
    /// include `GET`. To exempt `HEAD` requests, use [`skip`](Self::skip).
    pub fn methods<Kind>(self, methods: impl IntoMethods<Kind>) -> Self {
        self.set(Some("methods"), methods.into_methods(), |limit, methods| {
            limit.scope.methods = methods;
        })
    }

    /// Exempts each request for which the function returns `true`, for example health checks. The function can be async
    /// and can return an error, which becomes the response.
    ///
    /// ```
    /// # use actix_web::HttpRequest;
    /// # use actix_rateguard::Limit;
    /// let limit = Limit::new("100/minute").skip(|request: &HttpRequest| request.path() == "/health");
    /// ```
    pub fn skip<Kind>(mut self, skip: impl PerRequest<bool, Kind>) -> Self {
        self.scope.skip = Some(skip.into_resolver());
        self
    }

    /// Exempts the routes with these patterns, such as `/health` and `/orders/{id}`. A pattern is the full path of the route
    /// in the application, as in [`HttpRequest::match_pattern`].
    ///
    /// A handler can also exempt itself with `#[rate_limit(exempt)]`.
    ///
    /// ```
    /// # use actix_rateguard::Limit;
    /// let limit = Limit::new("100/minute").exempt_routes(["/health", "/metrics"]);
    /// ```
    pub fn exempt_routes<P: Into<String>>(self, patterns: impl IntoIterator<Item = P>) -> Self {
        let patterns: Vec<String> = patterns.into_iter().map(Into::into).collect();
        let relative = patterns.iter().find(|pattern| !pattern.starts_with('/'));
        let result = match relative {
            Some(pattern) => Err(format!(
                "expected the pattern of a route that begins with `/`, found `{}`",
                escape_for_display(pattern)
            )),
            None => Ok(patterns),
        };
        self.set(Some("exempt_routes"), result, |limit, patterns| {
            limit.scope.exempt_routes = patterns;
        })
    }

    /// Sets whether the header fields of responses report this limit. Default: `true`. With `false`, a client cannot see
    /// the limit: the header fields report only the other limits of the request, and a rejection by this limit has no
    /// `Retry-After`.
    pub fn headers(mut self, headers: bool) -> Self {
        self.scope.hides_headers = !headers;
        self
    }

    /// Passes requests that this limit denies to the handler, which can read the decision from a
    /// [`CheckResult`](crate::CheckResult) and, for example, do less work. A denied request takes no units.
    ///
    /// The guard first checks all other limits of the middleware together, and then the permissive limits together in a
    /// second store call. So a rejected request takes no units of a permissive limit.
    ///
    /// ```
    /// # use actix_web::get;
    /// # use actix_rateguard::{CheckResult, Limit};
    /// let limit = Limit::new("100/minute").permissive().name("search-quality");
    ///
    /// #[get("/search")]
    /// async fn search(result: CheckResult) -> &'static str {
    ///     if result.is_denied() { "cached results" } else { "fresh results" }
    /// }
    /// ```
    pub fn permissive(mut self) -> Self {
        self.scope.is_permissive = true;
        self
    }

    /// Lets a request wait for room instead of denying it immediately. The value is the maximum wait: a [`Wait`], a
    /// [`Duration`](std::time::Duration), or text such as `"2s"`. It is at most 60 seconds. Default: no wait.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use actix_rateguard::Limit;
    /// let limit = Limit::new("5/second").wait("2s");
    /// let limit = Limit::new("5/second").wait(Duration::from_millis(1_500));
    /// ```
    ///
    /// Requests with the same key wait in the order of their arrival. If there will be no room before the end of the
    /// wait, the request is denied immediately. The request waits before its body is read, unless a key is in the body. A limit
    /// in shadow mode denies no request, so no request waits for it. A limit with a lease cannot have a wait.
    ///
    /// If a request has several limits, it waits until all of them have room. Each limit bounds the wait for its own
    /// room, from the arrival of the request. So if a limit without a `wait` has no room, the request is denied
    /// immediately.
    pub fn wait<W>(self, wait: W) -> Self
    where
        W: TryInto<Wait, Error: Display>,
    {
        self.set(Some("wait"), wait.try_into(), |limit, wait: Wait| {
            limit.scope.wait = wait.duration();
        })
    }

    /// Bans clients that are denied too often. The value is a [`Ban`], or text such as
    /// `"10/hour for 15m up to 1d"`. Default: no ban.
    pub fn ban<B>(self, ban: B) -> Self
    where
        B: TryInto<Ban, Error: Display>,
    {
        self.set_in_policy("ban", ban.try_into(), |settings, ban| settings.ban = Some(ban))
    }

    /// Puts this limit in shadow mode, in which the limit counts and decides, but denies no request. See
    /// [`Policy::shadow`](crate::Policy::shadow).
    ///
    /// A limit in shadow mode cannot have a [`candidate`](Self::candidate).
    pub fn shadow(self) -> Self {
        let valid = Ok::<(), Infallible>(());
        self.set_in_policy("shadow", valid, |settings, ()| settings.is_in_shadow = true)
    }

    /// Sets candidate quotas, which the guard checks in shadow mode in addition to the enforced quotas. The value
    /// is a [`Quota`](crate::Quota), [`Quotas`], or text such as `"3/minute"`. See
    /// [`Policy::candidate`](crate::Policy::candidate).
    pub fn candidate<Q>(self, quotas: Q) -> Self
    where
        Q: TryInto<Quotas, Error: Display>,
    {
        self.set_in_policy("candidate", quotas.try_into(), |settings, quotas| {
            settings.candidate = Some(quotas);
        })
    }

    /// Sets the percentage of keys, from 0 to 100, for which the guard enforces the [`candidate`](Self::candidate)
    /// quotas. Default: 0. See [`Policy::rollout`](crate::Policy::rollout).
    pub fn rollout(self, percent: u8) -> Self {
        let valid = Ok::<_, Infallible>(percent);
        self.set_in_policy("rollout", valid, |settings, percent| settings.rollout = Some(percent))
    }

    /// Limits the requests of each key that are in progress at the same time, in addition to the rates of the limit.
    /// Each request holds a permit until its response ends, streaming bodies and WebSockets included. For a limit
    /// without a rate, write `Limit::new("5 concurrent")`.
    ///
    /// ```
    /// # use actix_rateguard::Limit;
    /// let exports = Limit::new("100/hour").concurrent(5).permit_lease("30s").name("exports");
    /// ```
    pub fn concurrent(self, requests: u32) -> Self {
        let quota = Quota::concurrent(requests, Quota::DEFAULT_LEASE);
        let valid = match &self.source {
            QuotaSource::Plan(_) => {
                Err("the plan sets the quotas; write \"5 concurrent\" in the quotas of the plan"
                    .to_owned())
            }
            QuotaSource::Fixed(_) | QuotaSource::Policy(_) => {
                quota.map_err(|error| error.to_string())
            }
        };
        self.set_in_policy("concurrent", valid, |settings, quota| {
            settings.concurrent = Some(quota.limit());
        })
    }

    /// Lets a process take up to this number of units of a busy key from the store at once, and admit requests with
    /// them without a further call to the store. The value is a number of units from 2 to 1,000, or a part of the limit
    /// such as `"5%"`, and at most half of the limit. For a token bucket, the burst takes the place of the limit.
    /// Default: no lease.
    ///
    /// In no window are more requests admitted than without a lease, for any number of processes. But a process may
    /// deny a request while another process has unused units, for at most the time [`lease_for`](Self::lease_for). Only
    /// a single quota of the algorithm `sliding_window` or `token_bucket` can have a lease. A request has no use of the
    /// lease if several limits apply to it, or if [`count`](Self::count) depends on the response.
    ///
    /// ```
    /// # use actix_rateguard::Limit;
    /// let per_tenant = Limit::new("100000/minute").lease("1%").lease_for("500ms").key("header:X-Tenant");
    /// ```
    pub fn lease<S>(self, size: S) -> Self
    where
        S: TryInto<LeaseSize, Error: Display>,
    {
        let size = match &self.source {
            QuotaSource::Plan(_) => {
                Err("the plan sets the quotas; write \"1000/minute lease 50\" in the quotas of the plan"
                    .to_owned())
            }
            QuotaSource::Fixed(_) | QuotaSource::Policy(_) => {
                size.try_into().map_err(|error| error.to_string())
            }
        };
        self.set_in_policy("lease", size, |settings, size| settings.lease = Some(size))
    }

    /// Sets the time for which a process may use the units of its [`lease`](Self::lease). The value is text such as
    /// `"500ms"`, from 100 milliseconds to 10 seconds, and at most a quarter of the window. Default: 1 second, or a
    /// quarter of the window if this is less.
    pub fn lease_for(self, duration: &str) -> Self {
        self.set_in_policy("lease_for", parse_window(duration), |settings, duration| {
            settings.lease_for = Some(duration);
        })
    }

    /// Sets the time after which a permit of [`concurrent`](Self::concurrent) comes back if its process has crashed.
    /// The value is text such as `"30s"`, from 1 second to 1 day. Default: 10 seconds. While the process runs, it
    /// renews the permits of its requests.
    pub fn permit_lease(self, lease: &str) -> Self {
        let lease = parse_window(lease).map_err(|error| error.to_string()).and_then(|lease| {
            Quota::concurrent(1, lease).map(|_| lease).map_err(|error| error.to_string())
        });
        self.set_in_policy("permit_lease", lease, |settings, lease| {
            settings.permit_lease = Some(lease);
        })
    }

    /// Sets the failure mode, which determines the decision while the store does not answer. The value is an
    /// [`OnError`], or text such as `"closed"`. Default: the failure mode of the guard.
    pub fn on_error<E>(self, on_error: E) -> Self
    where
        E: TryInto<OnError, Error: Display>,
    {
        self.set_in_policy("on_error", on_error.try_into(), |settings, on_error| {
            settings.on_error = Some(on_error);
        })
    }

    /// Replaces the response to requests that this limit rejects. If the function returns `None`, RateGuard sends the
    /// response that it would send without the function.
    /// [`RateGuardBuilder::on_reject`](crate::RateGuardBuilder::on_reject) lists the rejections and the headers that
    /// RateGuard adds.
    ///
    /// If an access list denies the client's address, or if the store fails, the request is rejected for all limits of
    /// the middleware. RateGuard then calls the function of the first limit that has an `on_reject` function.
    pub fn on_reject(
        mut self,
        response: impl Fn(&HttpRequest, &Rejection) -> Option<HttpResponse> + Send + Sync + 'static,
    ) -> Self {
        self.scope.on_reject = Some(OnReject::new(response));
        self
    }
}
