//! The builder of a guard, with the settings of the core limiter and the settings of HTTP responses.

use std::{fmt, sync::Arc, time::Duration};

use actix_rateguard_core as core;
use actix_rateguard_headers::HeaderDialect;
use actix_web::{HttpRequest, HttpResponse};

use crate::{
    AccessList, BuildError, ClientAddress, Decision, OnError, Plan, Policy, RateGuard,
    RejectionBody, settings::HttpSettings, store::Store,
};

/// Builds a [`RateGuard`]. Create the builder with [`RateGuard::builder`], [`RateGuard::redis`] or a similar function.
#[must_use]
pub struct RateGuardBuilder {
    core: core::RateGuardBuilder,
    http: HttpSettings,
}

/// Declares methods that pass their arguments to the builder of the core crate.
macro_rules! core_settings {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        /// Settings of the limiter. The builder of `actix-rateguard-core` has the same methods, and its documentation
        /// has more details.
        impl RateGuardBuilder {
            $(
                $(#[$attribute])*
                pub fn $name(mut self, $($argument: $type),*) -> Self {
                    self.core = self.core.$name($($argument),*);
                    self
                }
            )*
        }
    };
}

core_settings! {
    /// How Redis stores the sliding-window logs of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow):
    /// packed, or readable for other commands. Default: [`RedisLog::Packed`](crate::RedisLog::Packed). This setting has
    /// no effect on other stores.
    #[cfg(any(feature = "redis", feature = "upstash"))]
    redis_log(log: crate::RedisLog);

    /// Counts in this store: a [`MemoryStore`](crate::MemoryStore) with settings of its own, or any other [`Store`].
    store(store: impl Store + 'static);

    /// The certificates for TLS. Default: the certificate authorities of the system, and no client certificate. This
    /// setting has an effect only on URLs with `rediss://` or `https://`.
    #[cfg(any(feature = "tls", feature = "upstash"))]
    tls(tls: crate::RedisTls);

    /// The prefix of the keys in Redis. Default: `rateguard`. Guards with the same prefix and Redis database share
    /// their counts, so give each application its own prefix. This setting has no effect on other stores.
    prefix(prefix: impl Into<String>);

    /// How long a check may take in total, from 1 ms to 60 s; other values are an error of [`build`](Self::build).
    /// Default: 100 ms. A Redis server nearby needs about a hundredth of this time, and a user does not notice a delay
    /// of 100 ms.
    deadline(deadline: Duration);

    /// The failure mode for the time while the store does not answer. A policy may have its own failure mode. Default:
    /// [`OnError::Open`].
    on_error(on_error: OnError);

    /// Rejects requests with 503 once the store has not answered for longer than this duration, whatever the failure
    /// mode is. The time starts with the first failed check after the last successful check. Default: never.
    fail_closed_after(grace: Duration);

    /// How many checks may wait for the store at the same time. The guard decides further checks in memory. Default:
    /// 4,096, so the waiting checks use at most some megabytes of memory. Zero counts as 1.
    max_in_flight(checks: usize);

    /// How long this process caches a denial. Meanwhile, the guard denies the same check again without a call to the
    /// store. A cached denial expires earlier if the bucket may have room earlier. Default: 250 ms on Redis and
    /// Upstash, and zero (no cache) in a [`store`](Self::store) of your own.
    denial_cache_ttl(max: Duration);

    /// How many processes share the store. A process that decides in its own memory divides each limit by this number.
    /// The process rounds the quotient down, but admits at least one unit. Default: 1. Zero counts as 1.
    replicas(replicas: u32);

    /// The secret that the guard hashes keys with, at least 16 bytes. Every application server needs the same secret,
    /// or the servers do not share counts. Default: none. A shorter secret is an error of [`build`](Self::build).
    ///
    /// Without a secret, a reader of the store can find the client of a key by hashing all candidates: to hash all IPv4
    /// addresses takes minutes. A new secret resets all counts to zero, because it changes every hash.
    key_secret(secret: impl AsRef<[u8]>);

    /// Adds a policy that limits use by its name: `#[rate_limit(policy = "search")]`, and
    /// [`Limit::policy`](crate::Limit::policy). Limits that use one policy share its counts.
    ///
    /// A guard with policies must have every policy that a macro attribute of the program names; otherwise
    /// [`build`](Self::build) fails. `build` ignores macro attributes with a `limiter`, because each request determines
    /// their guard. [`for_attributes`](Self::for_attributes) can disable this validation.
    policy(policy: Policy);

    /// Adds a plan that a function can return by its name for a request: [`Plan::named`].
    ///
    /// ```
    /// # use actix_rateguard::{Plan, RateGuard};
    /// let guard = RateGuard::builder()
    ///     .plan("free", Plan::of("10/minute; 100/day"))
    ///     .plan("enterprise", Plan::Unlimited)
    ///     .build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    plan(name: impl Into<String>, plan: impl Into<Plan>);

    /// A TOML file with policies, plans, exemptions and settings of the guard. The values in the file replace the
    /// values in the code. A change to the file takes effect without a restart.
    ///
    /// ```toml
    /// [guard]
    /// on_error = "closed"
    ///
    /// [access]
    /// allow_addresses = ["10.1.0.0/16"]
    ///
    /// [plans]
    /// free = "10/minute; 100/day"
    /// enterprise = "unlimited"
    ///
    /// [policies.login]
    /// rate = "5/minute; 20/hour"
    /// key = "ip"
    /// ban = "10/hour for 15m up to 1d"
    /// ```
    ///
    /// Limits use a policy by its name: `#[rate_limit(policy = "login")]`,
    /// [`Limit::policy`](crate::Limit::policy). Functions use a plan by its name with [`Plan::named`].
    ///
    /// A file takes effect as a whole or not at all. If the file is missing, is invalid, or lacks a name that the
    /// program uses, the guard keeps its current settings and logs the reason once. At startup, each of these problems
    /// is an error of [`build`](Self::build). The counts stay when a quota changes. An HTTP request in progress keeps
    /// the policies with which it began.
    #[cfg(feature = "config")]
    policies_file(path: impl Into<std::path::PathBuf>);

    /// The interval at which the guard looks for changes in the policies file. Default: 1 second. [`Duration::ZERO`]
    /// disables the interval; then only `reload_policies` applies a change.
    ///
    /// A change takes effect when the guard finds the same content twice in a row, so the guard does not apply a file
    /// that is still being written.
    #[cfg(feature = "config")]
    policies_file_interval(interval: Duration);
}

/// Settings of responses.
impl RateGuardBuilder {
    /// How the guard determines the address of a client. Use [`ClientAddress::behind`] if clients connect through
    /// proxies. Default: [`ClientAddress::peer`], the address that connected.
    pub fn client_address(mut self, client_address: ClientAddress) -> Self {
        self.http.client_address = client_address;
        self
    }

    /// The clients that this guard never limits, and the clients that this guard always rejects with 403. Default:
    /// none.
    pub fn access(mut self, list: AccessList) -> Self {
        self.http.access = list;
        self
    }

    /// The header fields that report the numbers of a decision: any of [`HeaderDialect`], or none. Default:
    /// [`HeaderDialect::XRateLimit`], which most clients support.
    ///
    /// The response to a denial has `Retry-After` in any case, unless the request can never be allowed. `XRateLimit`
    /// together with `XRateLimitEpoch` is an error of [`build`](Self::build), because both write the same fields.
    ///
    /// ```
    /// # use actix_rateguard::{RateGuard, headers::HeaderDialect};
    /// let both = RateGuard::builder().headers([HeaderDialect::XRateLimit, HeaderDialect::Draft]);
    /// let none = RateGuard::builder().headers([]);
    /// ```
    pub fn headers(mut self, dialects: impl IntoIterator<Item = HeaderDialect>) -> Self {
        self.http.headers = dialects.into_iter().collect();
        self
    }

    /// The maximum random delay that the guard adds to `Retry-After`. With the delay, clients that were denied together
    /// do not return together. The delay is a whole number of seconds; the guard ignores a fraction of a second in the
    /// maximum. Default: zero.
    pub fn retry_jitter(mut self, max: Duration) -> Self {
        self.http.retry_jitter = max;
        self
    }

    /// The format of the body of a rejection. Default: [`RejectionBody::Negotiated`].
    pub fn rejection_body(mut self, body: RejectionBody) -> Self {
        self.http.body = body;
        self
    }

    /// Replaces the response to denied requests. RateGuard adds the headers of the decision, `Retry-After` and
    /// `Cache-Control: no-store` to your response. Default: 429 with the body of
    /// [`rejection_body`](Self::rejection_body).
    ///
    /// ```
    /// # use actix_web::{HttpRequest, HttpResponse};
    /// # use actix_rateguard::{Decision, RateGuard};
    /// let guard = RateGuard::builder().on_denied(|_: &HttpRequest, decision: &Decision| {
    ///     HttpResponse::TooManyRequests().body(format!("The limit is {}.", decision.limit()))
    /// });
    /// ```
    pub fn on_denied(
        mut self,
        response: impl Fn(&HttpRequest, &Decision) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.http.on_denied = Some(Arc::new(response));
        self
    }

    /// Whether this guard is in the application's data, where macro attributes find their guard. If `false`, the guard
    /// does not need the policies that macro attributes name. Default: `true`.
    pub fn for_attributes(mut self, is_for_attributes: bool) -> Self {
        self.http.is_for_attributes = is_for_attributes;
        self
    }
}

impl RateGuardBuilder {
    pub(crate) fn new(core: core::RateGuardBuilder) -> Self {
        Self { core, http: HttpSettings::default() }
    }

    /// Builds the guard. `build` does not wait for Redis, so an application server can start while Redis is down. The
    /// guard connects later.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is invalid, the policies file cannot be applied, or the system cannot start a
    /// thread.
    pub fn build(self) -> Result<RateGuard, BuildError> {
        #[cfg_attr(
            not(any(feature = "macros", feature = "config")),
            allow(unused_mut, reason = "only these features change it")
        )]
        let Self { mut core, mut http } = self;
        #[cfg(feature = "macros")]
        if http.is_for_attributes {
            core = core.attribute_policies(crate::inventory::attribute_policies());
        }
        #[cfg(feature = "config")]
        {
            core = core.key_recipes(crate::key::recipe);
        }
        let core = core.build()?;
        http.apply(core.http_settings());
        http.validate()?;
        let guard = RateGuard::with_settings(core.clone(), http.with_secret(core.key_secret()));
        warn_of_allowed_proxies(&guard);
        Ok(guard)
    }
}

/// Builders for each store.
impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts on that server. An invalid URL is an error of
    /// [`build`](RateGuardBuilder::build).
    ///
    /// The URL is one of
    ///
    /// - `redis://[user][:password@]host[:port][/database]`
    /// - `redis+cluster://[user][:password@]host[:port],host[:port]`: some of the nodes of a Redis Cluster
    /// - `redis+sentinel://[user][:password@]host[:port],host[:port]/service[/database]`: the sentinels that monitor
    ///   the service; with `?sentinel_user=…&sentinel_password=…` if the sentinels require a password
    /// - the same with `rediss` in place of `redis` for TLS (feature `tls`)
    /// - `redis+unix:///path[?db=database]`
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder {
        RateGuardBuilder::new(core::RateGuard::redis(url))
    }

    /// Returns a builder for a guard that counts in the Redis server of an existing connection pool.
    ///
    /// The guard opens one connection of its own with the pool's address, password and certificates. It does not use
    /// the connections of the pool, because a blocked worker that drives such a connection would delay all checks.
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
    ///     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let guard = RateGuard::redis_pool(pool.clone()).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deadpool")]
    pub fn redis_pool(pool: deadpool_redis::Pool) -> RateGuardBuilder {
        RateGuardBuilder::new(core::RateGuard::redis_pool(pool))
    }

    /// Returns a builder for a guard that counts in a Redis database at Upstash through its REST API. Guards with the
    /// same [prefix](RateGuardBuilder::prefix) share their counts in that database, also guards that connect without
    /// REST. An invalid URL or token is an error of [`build`](RateGuardBuilder::build).
    ///
    /// URL and token are the values of `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` in Upstash's console.
    /// The URL is `https://host` or `https://host:port`; `http://` is for a local server with the same API.
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let url = std::env::var("UPSTASH_REDIS_REST_URL")?;
    /// let token = std::env::var("UPSTASH_REDIS_REST_TOKEN")?;
    /// let guard = RateGuard::upstash(url, token).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "upstash")]
    pub fn upstash(url: impl Into<String>, token: impl Into<String>) -> RateGuardBuilder {
        RateGuardBuilder::new(core::RateGuard::upstash(url, token))
    }

    /// Returns a builder for a guard that counts in memory, or in the [`store`](RateGuardBuilder::store) that is set.
    pub fn builder() -> RateGuardBuilder {
        RateGuardBuilder::new(core::RateGuard::builder())
    }
}

/// Warns at startup if an access list allows a network that consists of trusted proxies. Such an entry has no effect.
fn warn_of_allowed_proxies(guard: &RateGuard) {
    let proxies = guard.http().client_address.proxies();
    for list in [&guard.policy_set().access, &guard.http().access] {
        if let Some(network) = list.allowed_proxies(proxies) {
            log::warn!(
                target: "rateguard",
                "`{network}` is allowed by an access list, but all its addresses are trusted as proxies, so the entry has no effect. Trust only the addresses of the proxies"
            );
        }
    }
}

impl fmt::Debug for RateGuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
