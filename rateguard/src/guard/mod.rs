//! The guard: a store behind a deadline, with an answer for when the store has none.

mod apart;
mod asking;
mod at_once;
mod banning;
mod breaker;
mod build_error;
mod builder;
mod charges;
mod charging;
mod claims;
mod closing;
mod escalation;
#[cfg(feature = "metrics")]
mod gauges;
mod health;
mod in_flight;
mod in_force;
mod known;
mod local;
mod outage;
mod policies;
#[cfg(feature = "config")]
mod reloading;
mod remembered;
mod request;
mod reservation;
mod seen;
mod servers;
mod shadow;
#[cfg(feature = "tracing")]
mod spans;
mod unavailable;
mod usual;
mod waiting;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use self::{
    builder::Settings, claims::NameConflict, in_flight::InFlight, local::Local, outage::Outage,
    remembered::Remembered, servers::Servers, shadow::ShadowAsking, waiting::Queues,
};

#[cfg(feature = "config")]
pub(crate) use self::builder::DEADLINES;
#[cfg(not(feature = "macros"))]
pub(crate) use self::in_force::InForce;
use self::policies::Policies;
#[cfg(all(feature = "config", not(feature = "macros")))]
pub(crate) use self::shadow::Tried;
pub use self::{
    banning::BanningError, build_error::BuildError, builder::RateGuardBuilder, health::Health,
    outage::Failures, request::Request, reservation::Reservation, shadow::ShadowCounts,
    unavailable::Unavailable,
};
pub(crate) use self::{
    claims::{Claim, Claims},
    escalation::Escalation,
    in_force::{Current, Named, Said},
    outage::Line,
    shadow::{Shadows, Trial},
};
#[cfg(feature = "macros")]
pub use self::{in_force::InForce, policies::AskedPolicy, shadow::Tried};
#[cfg(feature = "metrics")]
use crate::metrics::Metrics;
use crate::{Key, MemoryStore, StoreError, bucket::KeySecret, http::HttpSettings, store::Store};

/// A rate limiter: checks keys against policies.
///
/// A clone is cheap and shares everything; make one guard for an application and give clones to the rest of it. It
/// knows nothing of HTTP: a queue consumer or a background task uses it as a handler does.
///
/// ```
/// # use rateguard::{Key, Policy, RateGuard};
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
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn Store>,
    deadline: Duration,
    /// After so long, those who would pass are refused.
    closed_after: Option<Duration>,
    servers: Servers,
    in_flight: InFlight,
    shadow: ShadowAsking,
    remembered: Remembered,
    local: Local,
    secret: Option<KeySecret>,
    policies: Policies,
    /// For the side of HTTP, which alone reads them.
    http: HttpSettings,
    outage: Outage,
    claims: Claims,
    queues: Queues,
    /// The store has said that it cannot decide on several keys in one step.
    is_apart: AtomicBool,
    is_closed: AtomicBool,
    #[cfg(feature = "metrics")]
    metrics: Metrics,
}

impl RateGuard {
    /// A guard that counts in this process's memory. See [`builder`](Self::builder) for its settings.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_with(MemoryStore::new())
    }

    pub(crate) fn in_memory_with(store: MemoryStore) -> Self {
        Self::new(Settings { store: Box::new(store), ..Settings::default() })
    }

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
    /// # use rateguard::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), rateguard::BuildError>(())
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
    /// # use rateguard::RateGuard;
    /// let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
    ///     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let guard = RateGuard::redis_pool(pool.clone()).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "redis")]
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
    /// # use rateguard::RateGuard;
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

    fn new(settings: Settings) -> Self {
        let Settings { store, deadline, secret, policies, http, .. } = settings;
        let http = http.with_secret(secret.as_ref());
        let shared = Shared {
            store,
            deadline,
            closed_after: settings.closed_after,
            servers: Servers::new(),
            in_flight: InFlight::new(settings.max_in_flight),
            shadow: ShadowAsking::new(settings.max_in_flight),
            remembered: Remembered::new(settings.remember_denials),
            local: Local::new(settings.replicas, settings.mirrors_exactly),
            secret,
            policies,
            http,
            outage: Outage::new(),
            claims: Claims::default(),
            queues: Queues::default(),
            is_apart: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            #[cfg(feature = "metrics")]
            metrics: Metrics::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The store that it counts in.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Whether the store is not our own in memory, and so may leave checks unanswered.
    fn has_remote_store(&self) -> bool {
        self.shared.store.as_memory().is_none()
    }

    pub(crate) fn http(&self) -> &HttpSettings {
        &self.shared.http
    }

    /// Whether keys are asked one after the other, as the store cannot decide on several in one step.
    fn is_apart(&self) -> bool {
        self.shared.is_apart.load(Relaxed)
    }

    /// The key as it stands in the store.
    pub(crate) fn stored(&self, key: &Key) -> Key {
        match &self.shared.secret {
            Some(secret) => secret.seal(key),
            None if self.shared.store.as_memory().is_some() => *key,
            None => key.digested(),
        }
    }

    /// An offence may not have been counted, or its ban not have begun.
    fn unescalated(&self, cause: StoreError) {
        self.seen_unanswered(cause);
        static LINE: Line = Line::new();
        if let Some(denials) = LINE.say() {
            log::warn!(
                target: "rateguard",
                "not counted for a ban: {cause}; {denials} denials since the last line like this"
            );
        }
    }

    /// Tells guards apart, though not from those that are gone.
    #[cfg(any(feature = "config", feature = "macros"))]
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Nobody else may use the names of its policies for something else.
    fn claim_policies(&self) {
        // They are the first, and no two have one name.
        let in_force = self.in_force();
        let _ = self.shared.claims.put_in_force(in_force.policies(), true);
        self.seen_in_force(&in_force);
    }

    /// Notes who uses which name.
    pub(crate) fn claim(&self, claim: Claim<'_>) -> Result<(), NameConflict> {
        self.shared.claims.add(&claim)?;
        self.seen_policy(claim.policy, claim.is_fixed);
        Ok(())
    }

    /// Whether a limit may use its name, of which nothing is noted.
    #[cfg(feature = "macros")]
    pub(crate) fn admits(&self, claim: &Claim<'_>) -> bool {
        self.shared.claims.has_room_for(claim)
    }

    /// How many checks the store has left unanswered since this guard was made.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.shared.outage.failures()
    }
}

impl fmt::Debug for RateGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateGuard")
            .field("deadline", &self.shared.deadline)
            .field("on_error", &self.on_error())
            .finish_non_exhaustive()
    }
}
