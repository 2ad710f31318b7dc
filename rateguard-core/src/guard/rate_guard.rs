//! The guard itself: its state, and what it is made of.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Failures, HttpSettings, NameConflict, NameRegistration, NameRegistry, PolicySetRef,
    ThrottledLog, concurrency_limit::InFlight, denial_cache::DenialCache,
    failure_log::FailureCounters, local_fallback::Local, policies::Policies, server_state::Servers,
    settings::Settings, shadow::ShadowRunner, wait_queue::Queues,
};
#[cfg(feature = "metrics")]
use crate::telemetry::metrics::Metrics;
use crate::{Key, MemoryStore, OnError, Policy, StoreError, key::KeySecret, store::Store};

/// A rate limiter: checks keys against policies.
///
/// A clone is cheap and shares everything; make one guard for an application and give clones to the rest of it. It
/// knows nothing of HTTP: a queue consumer or a background task uses it as a handler does.
///
/// ```
/// # use actix_rateguard_core::{Key, Policy, RateGuard};
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
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Box<dyn Store>,
    pub(super) deadline: Duration,
    /// After so long, those who would pass are refused.
    pub(super) fail_closed_after: Option<Duration>,
    pub(super) servers: Servers,
    pub(super) in_flight: InFlight,
    pub(super) shadow: ShadowRunner,
    pub(super) remembered: DenialCache,
    pub(super) local: Local,
    pub(super) secret: Option<KeySecret>,
    pub(super) policies: Policies,
    /// Only an HTTP adapter reads them.
    pub(super) http: HttpSettings,
    pub(super) outage: FailureCounters,
    pub(super) claims: NameRegistry,
    pub(super) queues: Queues,
    /// The store has said that it cannot decide on several keys in one step.
    pub(super) is_cross_slot: AtomicBool,
    pub(super) is_closed: AtomicBool,
    #[cfg(feature = "metrics")]
    pub(super) metrics: Metrics,
}

impl RateGuard {
    /// A guard that counts in this process's memory. See [`builder`](Self::builder) for its settings.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_with(MemoryStore::new())
    }

    #[doc(hidden)]
    pub fn in_memory_with(store: MemoryStore) -> Self {
        Self::new(Settings { store: Box::new(store), ..Settings::default() })
    }

    pub(super) fn new(settings: Settings) -> Self {
        let Settings { store, deadline, secret, policies, http, .. } = settings;
        let shared = Shared {
            store,
            deadline,
            fail_closed_after: settings.fail_closed_after,
            servers: Servers::new(),
            in_flight: InFlight::new(settings.max_in_flight),
            shadow: ShadowRunner::new(settings.max_in_flight),
            remembered: DenialCache::new(settings.denial_cache_ttl),
            local: Local::new(settings.replicas, settings.mirrors_exactly),
            secret,
            policies,
            http,
            outage: FailureCounters::new(),
            claims: NameRegistry::default(),
            queues: Queues::default(),
            is_cross_slot: AtomicBool::new(false),
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
    pub(super) fn has_remote_store(&self) -> bool {
        self.shared.store.as_memory().is_none()
    }

    /// The secret that keys are digested with.
    #[doc(hidden)]
    #[must_use]
    pub fn key_secret(&self) -> Option<&KeySecret> {
        self.shared.secret.as_ref()
    }

    /// The settings of an HTTP adapter that the policies file contains.
    #[doc(hidden)]
    #[must_use]
    pub fn http_settings(&self) -> &HttpSettings {
        &self.shared.http
    }

    /// Whether keys are asked one after the other, as the store cannot decide on several in one step.
    pub(super) fn is_cross_slot(&self) -> bool {
        self.shared.is_cross_slot.load(Relaxed)
    }

    /// The key as it stands in the store.
    #[doc(hidden)]
    pub fn hashed_key(&self, key: &Key) -> Key {
        match &self.shared.secret {
            Some(secret) => secret.seal(key),
            None if self.shared.store.as_memory().is_some() => *key,
            None => key.digested(),
        }
    }

    /// An offence may not have been counted, or its ban not have begun.
    pub(super) fn record_ban_failure(&self, cause: StoreError) {
        self.record_store_error(cause);
        static LINE: ThrottledLog = ThrottledLog::new();
        if let Some(denials) = LINE.try_emit() {
            log::warn!(
                target: "rateguard",
                "not counted for a ban: {cause}; {denials} denials since the last line like this"
            );
        }
    }

    /// Tells guards apart, though not from those that are gone.
    #[doc(hidden)]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Nobody else may use the names of its policies for something else.
    pub(super) fn claim_policies(&self) {
        // They are the first, and no two have one name.
        let policy_set = self.policy_set();
        let _ = self.shared.claims.replace_policies(policy_set.policies(), true);
        self.register_policies(&policy_set);
    }

    /// Notes who uses which name.
    #[doc(hidden)]
    pub fn register_name(&self, claim: NameRegistration<'_>) -> Result<(), NameConflict> {
        self.shared.claims.add(&claim)?;
        self.register_policy(claim.policy, claim.is_fixed);
        Ok(())
    }

    /// Whether a limit may use its name, of which nothing is noted.
    #[doc(hidden)]
    pub fn can_register_name(&self, claim: &NameRegistration<'_>) -> bool {
        self.shared.claims.can_register(claim)
    }

    /// How many checks the store has left unanswered since this guard was made.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.shared.outage.failures()
    }
}

impl RateGuard {
    /// The policy of this name as it is now, if the guard was [given](RateGuardBuilder::policy) one or its file has
    /// one. Where there is a file, ask for it each time: it may have changed.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.policy_set().policy(name).map(|named| named.policy.clone())
    }

    /// The policies and plans that are in effect now.
    #[doc(hidden)]
    #[must_use]
    pub fn policy_set(&self) -> PolicySetRef<'_> {
        self.shared.policies.current()
    }

    /// What happens without an answer where a policy does not say it.
    pub(super) fn on_error(&self) -> OnError {
        self.shared.policies.on_error()
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
