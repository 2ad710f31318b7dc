//! The guard of a web application: the limiter of the core crate, and the settings of its HTTP side.

use std::{fmt, ops::Deref, sync::Arc};

use actix_rateguard_core as core;

#[cfg(feature = "test-util")]
use crate::MemoryStore;
use crate::{RateGuardBuilder, settings::HttpSettings};

/// A rate limiter for a web application: checks keys against policies, and holds the settings of responses.
///
/// A clone is cheap and shares all state. Build one guard per application and pass clones of it.
///
/// It dereferences to the [`RateGuard`](core::RateGuard) of `actix-rateguard-core`, which does not depend on HTTP.
/// Handlers, background tasks and queue consumers check, reset and ban keys with the methods of that type.
///
/// ```
/// # use actix_rateguard::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// let guard = RateGuard::in_memory();
/// let policy = Policy::new("emails", "2/minute")?;
/// let key = Key::from("user-42");
///
/// assert_eq!(guard.check(&policy, &key).await?.remaining(), 1);
/// assert!(guard.allows(&policy, &key).await);
/// assert!(!guard.allows(&policy, &key).await);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone)]
pub struct RateGuard {
    core: core::RateGuard,
    http: Arc<HttpSettings>,
}

impl RateGuard {
    /// Returns a guard with default settings that counts in the memory of this process. [`builder`](Self::builder) has
    /// settings.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::from(core::RateGuard::in_memory())
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn in_memory_with(store: MemoryStore) -> Self {
        Self::from(core::RateGuard::in_memory_with(store))
    }

    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts there. An invalid URL is an error of
    /// [`build`](RateGuardBuilder::build).
    ///
    /// The URL is one of
    ///
    /// - `redis://[user][:password@]host[:port][/database]`
    /// - `redis+cluster://[user][:password@]host[:port],host[:port]`: some of the nodes of a Redis Cluster
    /// - `redis+sentinel://[user][:password@]host[:port],host[:port]/service[/database]`: the sentinels that monitor
    ///   the service; with `?sentinel_user=…&sentinel_password=…` if they require a password
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
    /// the connections of the pool, because a blocked worker that drives one of them would delay all checks.
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
    /// same [prefix](RateGuardBuilder::prefix) share their counts there, also those that connect without REST. An
    /// invalid URL or token is an error of [`build`](RateGuardBuilder::build).
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

    pub(crate) fn with_settings(core: core::RateGuard, http: HttpSettings) -> Self {
        Self { core, http: Arc::new(http) }
    }

    pub(crate) fn http(&self) -> &HttpSettings {
        &self.http
    }

    /// Returns the prefix length of the IPv6 network that is one client, in bits.
    #[cfg(feature = "operator")]
    pub(crate) fn ipv6_bits(&self) -> u8 {
        self.http.client_address.ipv6_bits()
    }
}

/// A guard with the default settings of responses.
impl From<core::RateGuard> for RateGuard {
    fn from(core: core::RateGuard) -> Self {
        Self::with_settings(core, HttpSettings::default())
    }
}

impl Deref for RateGuard {
    type Target = core::RateGuard;

    fn deref(&self) -> &core::RateGuard {
        &self.core
    }
}

impl fmt::Debug for RateGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
