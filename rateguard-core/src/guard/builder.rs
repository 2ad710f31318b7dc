//! The settings of a guard.

use std::{fmt, time::Duration};

use actix_rateguard_grammar::check_name;

use super::{
    AttributePolicy, BuildError, HttpSettings, RateGuard,
    bounds::DEADLINES,
    settings::{DEFAULT_DEADLINE, DEFAULT_MAX_IN_FLIGHT, DEFAULT_REMEMBER_DENIALS, Settings},
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

/// Settings for a [`RateGuard`].
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

enum StoreChoice {
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

    /// How Redis keeps the logs of [`Algorithm::SlidingWindow`](crate::Algorithm::SlidingWindow): packed, or readable for
    /// other commands. By default [`RedisLog::Packed`]. It means nothing to other stores.
    #[cfg(any(feature = "redis", feature = "upstash"))]
    pub fn redis_log(mut self, log: RedisLog) -> Self {
        self.redis_log = log;
        self
    }

    /// Counts in this store: a [`MemoryStore`] with settings of its own, or any other [`Store`].
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = StoreChoice::Own(Box::new(store));
        self
    }

    /// How a Redis with TLS is recognised, and how it recognises us. Default: by the system's certificate authorities, and
    /// not at all. It has no effect on other URLs than `rediss://` and `https://`.
    #[cfg(any(feature = "tls", feature = "upstash"))]
    pub fn tls(mut self, tls: crate::RedisTls) -> Self {
        match &mut self.store {
            #[cfg(feature = "tls")]
            StoreChoice::Redis(Server::At { tls: known, .. }) => *known = tls,
            #[cfg(feature = "upstash")]
            StoreChoice::Upstash(account) => account.tls = tls,
            _ => {}
        }
        self
    }

    /// What the keys in Redis begin with. Default: `rateguard`. Guards of one prefix on one Redis database share
    /// their counts; give each application its own. In other stores it has no effect.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a check may take, all in all; from 1 ms to 60 s. Default: 100 ms, some hundred times what a Redis
    /// nearby needs and little enough for a user not to notice.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What happens to a request when the store does not answer, unless its policy says otherwise. Default:
    /// [`OnError::Open`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// After how long without an answer of the store requests are refused with 503 that would pass, or be decided on in
    /// memory, until then: since the first check that was left unanswered after the last that was answered. Default: never.
    pub fn fail_closed_after(mut self, grace: Duration) -> Self {
        self.fail_closed_after = Some(grace);
        self
    }

    /// How many checks may wait for the store at once; further ones are left unanswered at once. Default: 4,096, with which
    /// a store that hangs holds up some megabytes of requests at the most.
    pub fn max_in_flight(mut self, checks: usize) -> Self {
        self.max_in_flight = checks.max(1);
        self
    }

    /// For how long this process remembers at the most that a check of a key was denied, and denies the same one again without
    /// asking the store, with the numbers counted down. It never does so for longer than until there may be room. Default:
    /// 250 ms on Redis and Upstash, with which who is denied again and again costs them four checks a second; and zero, which
    /// is not at all, in a [`store`](Self::store) of your own. One that answers [at once](crate::store::StoreFuture::Ready), as that in
    /// memory, is always asked.
    ///
    /// What this guard gives back, resets or charges itself it knows at once, as it does another quota and another cost. What
    /// other processes give back or reset, a store that lost its data, and a clock of the store that was set, it notices after
    /// so long at the latest. Checks of several keys are always asked for, and what counts for a ban is counted in the store each
    /// time. While the store does not answer, a denial that is remembered is still one.
    ///
    /// Up to 57,344 denials are remembered, in some 10 megabytes at the most if policies have one quota; who finds no room
    /// among them is asked for each time.
    pub fn denial_cache_ttl(mut self, longest: Duration) -> Self {
        self.denial_cache_ttl = Some(longest);
        self
    }

    /// How many processes share the store. While it does not answer, each admits so large a part of the limits where the
    /// failure mode is [`OnError::Local`], rounded down, but at least one. Default: 1.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// A secret of at least 16 bytes that keys are digested with, the same on every server. Default: none.
    ///
    /// Without it, whoever reads the store can find out whose a key is by trying: all IPv4 addresses in minutes. Another
    /// secret makes all counts begin anew.
    pub fn key_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// The guard. It does not wait for Redis: a server starts when Redis is away, and uses it when it is there.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is not legal, or the system has no thread for the connection.
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
        let is_elsewhere = !matches!(self.store, StoreChoice::Own(_));
        let denial_cache_ttl = self.denial_cache_ttl.unwrap_or(if is_elsewhere {
            DEFAULT_REMEMBER_DENIALS
        } else {
            Duration::ZERO
        });
        #[cfg_attr(
            not(any(feature = "redis", feature = "upstash")),
            allow(clippy::infallible_destructuring_match, reason = "there are more with features")
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
        guard.claim_policies();
        #[cfg(feature = "config")]
        guard.watch_file().map_err(BuildError::Thread)?;
        Ok(guard)
    }
}

/// Builders for each store.
impl RateGuard {
    /// A guard that counts in the Redis at `url`, together with all other guards of the same prefix there.
    ///
    /// The URL is one of
    ///
    /// - `redis://[user][:password@]host[:port][/database]`
    /// - `redis+cluster://[user][:password@]host[:port],host[:port]`, by some nodes of a Redis Cluster
    /// - `redis+sentinel://[user][:password@]host[:port],host[:port]/service[/database]`, by the sentinels that know the
    ///   primary of the service; with `?sentinel_user=…&sentinel_password=…` if they ask for it
    /// - the same with `rediss` for TLS (feature `tls`)
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

    /// A guard that counts in the Redis of this pool, which an application has for other things, too.
    ///
    /// It connects as the pool does, with its address, password and certificates, and makes one connection of its own: those
    /// of the pool are the application's, and one that a blocked worker drives would make all others wait.
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

    /// A guard that counts in a Redis at Upstash, through its REST interface, together with all other guards of the same
    /// prefix there, be it over REST or not.
    ///
    /// URL and token are the values of `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` in Upstash's console. The URL is
    /// `https://host` or `https://host:port`; `http://` is for something on this machine that speaks as Upstash does.
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

    /// Settings for a guard that counts in memory.
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
            // The URL may hold a password.
            #[cfg(feature = "redis")]
            Self::Redis(_) => "Redis",
            // It holds the token.
            #[cfg(feature = "upstash")]
            Self::Upstash(_) => "Upstash",
        })
    }
}
