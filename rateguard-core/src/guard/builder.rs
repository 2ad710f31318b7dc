//! The builder of a guard.

use std::{fmt, time::Duration};

use actix_rateguard_grammar::check_name;

use super::{
    AttributePolicy, BuildError, HttpSettings, RateGuard,
    bounds::DEADLINES,
    settings::{DEFAULT_DEADLINE, DEFAULT_DENIAL_CACHE_TTL, DEFAULT_MAX_IN_FLIGHT, Settings},
};
#[cfg(feature = "config")]
use crate::key::{KeyRecipes, plain_recipe};
#[cfg(any(feature = "redis", feature = "upstash"))]
use crate::store::log_encoding::RedisLog;
#[cfg(feature = "redis")]
use crate::store::redis::{RedisStore, Server};
#[cfg(feature = "upstash")]
use crate::store::upstash::{Account, UpstashStore};
use crate::{MemoryStore, OnError, Plan, Policy, key::KeySecret, store::Store};

const DEFAULT_PREFIX: &str = "rateguard";

/// Builds a [`RateGuard`]. [`RateGuard::builder`], `RateGuard::redis` and similar functions return a builder.
#[must_use]
pub struct RateGuardBuilder {
    store: StoreChoice,
    pub(super) prefix: String,
    #[cfg(any(feature = "redis", feature = "upstash"))]
    redis_log: RedisLog,
    pub(super) deadline: Duration,
    pub(super) on_error: OnError,
    pub(super) fail_closed_after: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) denial_cache_ttl: Option<Duration>,
    pub(super) replicas: u32,
    pub(super) secret: Option<Vec<u8>>,
    pub(super) policies: Vec<Policy>,
    pub(super) plans: Vec<(String, Plan)>,
    #[cfg(feature = "config")]
    pub(super) file: Option<std::path::PathBuf>,
    #[cfg(feature = "config")]
    pub(super) file_interval: Option<Duration>,
    pub(super) attributes: Vec<AttributePolicy>,
    #[cfg(feature = "config")]
    pub(super) key_recipes: KeyRecipes,
    pub(super) http: HttpSettings,
}

/// The store that [`build`](RateGuardBuilder::build) opens.
enum StoreChoice {
    /// A store that the program has opened.
    Own(Box<dyn Store>),
    #[cfg(feature = "redis")]
    Redis(Server),
    #[cfg(feature = "upstash")]
    Upstash(Account),
}

impl RateGuardBuilder {
    pub(super) fn in_memory() -> Self {
        Self::new(StoreChoice::Own(Box::new(MemoryStore::new())))
    }

    #[cfg(feature = "redis")]
    pub(super) fn redis(url: String) -> Self {
        Self::new(StoreChoice::Redis(Server::at(url)))
    }

    #[cfg(feature = "deadpool")]
    pub(super) fn redis_pool(pool: deadpool_redis::Pool) -> Self {
        Self::new(StoreChoice::Redis(Server::Of(pool)))
    }

    #[cfg(feature = "upstash")]
    pub(super) fn upstash(url: String, token: String) -> Self {
        Self::new(StoreChoice::Upstash(Account { url, token, tls: crate::RedisTls::new() }))
    }

    fn new(store: StoreChoice) -> Self {
        Self {
            store,
            prefix: DEFAULT_PREFIX.to_owned(),
            #[cfg(any(feature = "redis", feature = "upstash"))]
            redis_log: RedisLog::default(),
            deadline: DEFAULT_DEADLINE,
            on_error: OnError::default(),
            fail_closed_after: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            denial_cache_ttl: None,
            replicas: 1,
            secret: None,
            policies: Vec::new(),
            plans: Vec::new(),
            #[cfg(feature = "config")]
            file: None,
            #[cfg(feature = "config")]
            file_interval: None,
            attributes: Vec::new(),
            #[cfg(feature = "config")]
            key_recipes: plain_recipe,
            http: HttpSettings::default(),
        }
    }

    /// Sets how Redis stores the sliding-window logs of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow):
    /// packed, or readable for other Redis commands. Default: [`RedisLog::Packed`]. The setting has no effect on other
    /// stores.
    #[cfg(any(feature = "redis", feature = "upstash"))]
    pub fn redis_log(mut self, log: RedisLog) -> Self {
        self.redis_log = log;
        self
    }

    /// Sets the store that the guard counts in: a [`MemoryStore`] with settings of your own, or any other [`Store`].
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = StoreChoice::Own(Box::new(store));
        self
    }

    /// Sets the certificates for TLS. Default: the certificate authorities of the system, and no client certificate.
    /// The setting only has an effect on URLs with TLS, such as `rediss://` and `https://`. It has no effect on a
    /// connection pool.
    #[cfg(any(feature = "tls", feature = "upstash"))]
    pub fn tls(mut self, tls: crate::RedisTls) -> Self {
        match &mut self.store {
            #[cfg(feature = "tls")]
            StoreChoice::Redis(Server::At { tls: current, .. }) => *current = tls,
            #[cfg(feature = "upstash")]
            StoreChoice::Upstash(account) => account.tls = tls,
            _ => {}
        }
        self
    }

    /// Sets the prefix of the keys in Redis. Default: `rateguard`. Guards with the same prefix and Redis database share
    /// their counts, so give each application its own prefix. The prefix has no effect on other stores.
    ///
    /// A prefix has the form of a policy name: from 1 to 200 bytes, only letters, digits and ASCII punctuation without
    /// braces. [`build`](Self::build) returns an error for an invalid prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the maximum duration of a check, from 1 ms to 60 s. [`build`](Self::build) returns an error for other
    /// values. Default: 100 ms. This is about a hundred times the response time of a nearby Redis server, and too short
    /// for a user to notice.
    ///
    /// If a policy with a [ban](Policy::ban) denies a request, the guard takes up to one deadline more to count the
    /// offence.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets the failure mode for policies that do not set one. The failure mode decides on requests when the store does
    /// not answer. Default: [`OnError::Open`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Rejects requests once the store has been down for longer than `grace`, whatever the failure mode is. The store
    /// is down from the first failed check after the last successful check. Default: never.
    ///
    /// If a check fails because of load, such as with [`StoreError::Overloaded`](crate::StoreError::Overloaded), the
    /// guard still decides in memory after this time.
    pub fn fail_closed_after(mut self, grace: Duration) -> Self {
        self.fail_closed_after = Some(grace);
        self
    }

    /// Sets how many checks may wait for the store at the same time. The guard decides further checks in memory, with
    /// the cause [`StoreError::Overloaded`](crate::StoreError::Overloaded). Default: 4,096. The waiting checks then use
    /// a few megabytes of memory at most. Zero counts as 1.
    pub fn max_in_flight(mut self, checks: usize) -> Self {
        self.max_in_flight = checks.max(1);
        self
    }

    /// Sets how long this process caches a denial, to deny the same check again without a store call. A cached denial
    /// expires earlier if the bucket may have room earlier. Default: 250 ms on Redis and Upstash, and zero (no cache)
    /// with a [`store`](Self::store) of your own. With 250 ms, a client that repeats a denied check causes four store
    /// calls a second.
    ///
    /// - The durations in a cached denial, such as the time until a retry, decrease with time.
    /// - When this guard refunds, resets or debits a bucket, it removes the cached denials of the bucket immediately. A
    ///   check with another quota or another cost does not use a cached denial.
    /// - The guard notices other changes when the cached denial expires: a refund or reset by another process, a loss
    ///   of data in the store, and a jump of the store's clock.
    /// - The guard does not cache denials of checks of several keys. If the policy has a [ban](Policy::ban), the store
    ///   counts an offence for a cached denial, too.
    /// - The guard also uses cached denials while the store is down.
    ///
    /// The cache holds up to 57,344 denials, and then takes about 10 MB if each policy has one quota. A full cache
    /// accepts no further denials.
    pub fn denial_cache_ttl(mut self, max: Duration) -> Self {
        self.denial_cache_ttl = Some(max);
        self
    }

    /// Sets how many processes share the store. If a process decides in its own memory, it divides each limit by this
    /// number. The process rounds the limit down, to at least 1. Default: 1. Zero counts as 1.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// Sets the secret with which the guard hashes keys (HMAC-SHA-256, RFC 2104). The secret has at least 16 bytes, and
    /// must be the same on every application server. Default: none. [`build`](Self::build) returns an error for a
    /// shorter secret.
    ///
    /// Without a secret, a reader of the store can find the client of a key by hashing every possible key. For all IPv4
    /// addresses, this takes minutes. With a new secret, all counts start from zero.
    pub fn key_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// Builds the guard, without waiting for Redis. An application can start while Redis is down, and the guard
    /// connects later.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is invalid, the policies file cannot be applied, or the system cannot start a
    /// thread.
    pub fn build(
        #[cfg_attr(not(feature = "config"), allow(unused_mut))] mut self,
    ) -> Result<RateGuard, BuildError> {
        check_name(&self.prefix).map_err(BuildError::Prefix)?;
        let policies = self.policies()?;
        let secret = self.secret.map(|secret| KeySecret::new(&secret).ok_or(BuildError::Secret));
        let secret = secret.transpose()?;
        if !DEADLINES.contains(&self.deadline) {
            return Err(BuildError::Deadline);
        }
        let is_remote = !matches!(self.store, StoreChoice::Own(_));
        let denial_cache_ttl = self.denial_cache_ttl.unwrap_or(if is_remote {
            DEFAULT_DENIAL_CACHE_TTL
        } else {
            Duration::ZERO
        });
        #[cfg_attr(
            not(any(feature = "redis", feature = "upstash")),
            allow(clippy::infallible_destructuring_match, reason = "the features add variants")
        )]
        let store = match self.store {
            StoreChoice::Own(store) => store,
            #[cfg(feature = "redis")]
            StoreChoice::Redis(server) => {
                Box::new(RedisStore::open(server, self.prefix, self.redis_log, self.deadline)?)
            }
            #[cfg(feature = "upstash")]
            StoreChoice::Upstash(account) => {
                Box::new(UpstashStore::open(&account, self.prefix, self.redis_log, self.deadline)?)
            }
        };
        let guard = RateGuard::new(Settings {
            store,
            deadline: self.deadline,
            fail_closed_after: self.fail_closed_after,
            max_in_flight: self.max_in_flight,
            denial_cache_ttl,
            replicas: self.replicas,
            mirrors_exactly: self.on_error == OnError::Local,
            secret,
            policies,
            http: self.http,
        });
        guard.register_initial_policies();
        #[cfg(feature = "config")]
        guard.watch_file().map_err(BuildError::Thread)?;
        Ok(guard)
    }
}

/// Builders for each store.
impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts there. [`build`](RateGuardBuilder::build) returns an error
    /// for an invalid URL.
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
    /// # use actix_rateguard_core::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), actix_rateguard_core::BuildError>(())
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder {
        RateGuardBuilder::redis(url.into())
    }

    /// Returns a builder for a guard that counts in the Redis server of an existing connection pool.
    ///
    /// The guard opens one connection of its own with the pool's address, password and certificates. It does not use
    /// the connections of the pool: a blocked worker thread would delay all checks on a connection that this worker
    /// polls.
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
    ///     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let guard = RateGuard::redis_pool(pool.clone()).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deadpool")]
    pub fn redis_pool(pool: deadpool_redis::Pool) -> RateGuardBuilder {
        RateGuardBuilder::redis_pool(pool)
    }

    /// Returns a builder for a guard that counts in a Redis database at Upstash through its REST API. Guards with the
    /// same [prefix](RateGuardBuilder::prefix) share their counts there, also if some of the guards connect without
    /// REST. [`build`](RateGuardBuilder::build) returns an error for an invalid URL or token.
    ///
    /// URL and token are the values of `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` in Upstash's console.
    /// The URL is `https://host` or `https://host:port`; `http://` is for a local server with the same API.
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let url = std::env::var("UPSTASH_REDIS_REST_URL")?;
    /// let token = std::env::var("UPSTASH_REDIS_REST_TOKEN")?;
    /// let guard = RateGuard::upstash(url, token).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "upstash")]
    pub fn upstash(url: impl Into<String>, token: impl Into<String>) -> RateGuardBuilder {
        RateGuardBuilder::upstash(url.into(), token.into())
    }

    /// Returns a builder for a guard that counts in memory, or in another [`store`](RateGuardBuilder::store) that you
    /// set.
    pub fn builder() -> RateGuardBuilder {
        RateGuardBuilder::in_memory()
    }
}

impl fmt::Debug for RateGuardBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateGuardBuilder")
            .field("store", &self.store)
            .field("prefix", &self.prefix)
            .field("deadline", &self.deadline)
            .field("on_error", &self.on_error)
            .field("policies", &self.policies)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "Own",
            // The URL is omitted, because it may contain a password.
            #[cfg(feature = "redis")]
            Self::Redis(_) => "Redis",
            // The account is omitted, because it contains the token.
            #[cfg(feature = "upstash")]
            Self::Upstash(_) => "Upstash",
        })
    }
}
