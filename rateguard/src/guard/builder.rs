//! The settings of a guard.

use std::{fmt, ops::RangeInclusive, time::Duration};

use rateguard_grammar::check_name;

use super::{BuildError, RateGuard, policies::Policies};
#[cfg(feature = "redis")]
use crate::store::redis::{RedisStore, Server};
#[cfg(any(feature = "redis", feature = "upstash"))]
use crate::store::redis_log::RedisLog;
#[cfg(feature = "upstash")]
use crate::store::upstash::{Account, UpstashStore};
use crate::{
    MemoryStore, OnError, Plan, Policy, bucket::KeySecret, http::HttpSettings, store::Store,
};

const DEFAULT_MAX_IN_FLIGHT: usize = 4_096;
const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);
const DEFAULT_REMEMBER_DENIALS: Duration = Duration::from_millis(250);
/// The legal deadlines.
pub(crate) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);
const DEFAULT_PREFIX: &str = "rateguard";

/// Settings for a [`RateGuard`].
#[must_use]
pub struct RateGuardBuilder {
    store: StoreChoice,
    prefix: String,
    #[cfg(any(feature = "redis", feature = "upstash"))]
    redis_log: RedisLog,
    pub(super) deadline: Duration,
    pub(super) on_error: OnError,
    pub(super) closed_after: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) remember_denials: Option<Duration>,
    pub(super) replicas: u32,
    secret: Option<Vec<u8>>,
    pub(super) policies: Vec<Policy>,
    pub(super) plans: Vec<(String, Plan)>,
    #[cfg(feature = "config")]
    pub(super) file: Option<std::path::PathBuf>,
    #[cfg(feature = "config")]
    pub(super) file_interval: Option<Duration>,
    pub(super) is_for_attributes: bool,
    pub(crate) http: HttpSettings,
}

/// What a guard is made of, checked.
pub(super) struct Settings {
    pub(super) store: Box<dyn Store>,
    pub(super) deadline: Duration,
    pub(super) closed_after: Option<Duration>,
    pub(super) max_in_flight: usize,
    pub(super) remember_denials: Duration,
    pub(super) replicas: u32,
    /// Local decisions count large logs exactly.
    pub(super) mirrors_exactly: bool,
    pub(super) secret: Option<KeySecret>,
    pub(super) policies: Policies,
    pub(super) http: HttpSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: Box::new(MemoryStore::new()),
            deadline: DEFAULT_DEADLINE,
            closed_after: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            remember_denials: Duration::ZERO,
            replicas: 1,
            mirrors_exactly: false,
            secret: None,
            policies: Policies::Fixed(Box::default()),
            http: HttpSettings::default(),
        }
    }
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

    #[cfg(feature = "redis")]
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
            closed_after: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            remember_denials: None,
            replicas: 1,
            secret: None,
            policies: Vec::new(),
            plans: Vec::new(),
            #[cfg(feature = "config")]
            file: None,
            #[cfg(feature = "config")]
            file_interval: None,
            is_for_attributes: true,
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
    pub fn closed_after(mut self, grace: Duration) -> Self {
        self.closed_after = Some(grace);
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
    /// is not at all, in a [`store`](Self::store) of your own. One that answers [at once](crate::store::Answer::Now), as that in
    /// memory, is always asked.
    ///
    /// What this guard gives back, resets or charges itself it knows at once, as it does another quota and another cost. What
    /// other processes give back or reset, a store that lost its data, and a clock of the store that was set, it notices after
    /// so long at the latest. Checks of several keys are always asked for, and what counts for a ban is counted in the store each
    /// time. While the store does not answer, a denial that is remembered is still one.
    ///
    /// Up to 57,344 denials are remembered, in some 10 megabytes at the most if policies have one quota; who finds no room
    /// among them is asked for each time.
    pub fn remember_denials(mut self, longest: Duration) -> Self {
        self.remember_denials = Some(longest);
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
        self.http.check()?;
        if !DEADLINES.contains(&self.deadline) {
            return Err(BuildError::Deadline);
        }
        let is_elsewhere = !matches!(self.store, StoreChoice::Own(_));
        let remember_denials = self.remember_denials.unwrap_or(if is_elsewhere {
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
            closed_after: self.closed_after,
            max_in_flight: self.max_in_flight,
            remember_denials,
            replicas: self.replicas,
            mirrors_exactly: self.on_error == OnError::Local,
            secret,
            policies,
            http: self.http,
        });
        guard.claim_policies();
        guard.warn_of_allowed_proxies();
        #[cfg(feature = "config")]
        guard.watch_file().map_err(BuildError::Thread)?;
        Ok(guard)
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
