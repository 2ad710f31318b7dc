//! The type [`RateGuard`], with its state, its constructors and the registration of names.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    Failures, HttpSettings, NameConflict, NameRegistration, NameRegistry, PolicySetRef,
    ThrottledLog,
    denial_cache::DenialCache,
    failure_log::{FailureCounters, server_suffix},
    in_flight::InFlight,
    lease::LeaseTable,
    local_fallback::LocalFallback,
    permit::PermitRegistry,
    policies::Policies,
    quota_overrides::OverrideTable,
    server_state::ServerStates,
    settings::Settings,
    shadow::ShadowRunner,
    wait_queue::WaitQueues,
};
use crate::{
    Key, MemoryStore, OnError, Policy, StoreError,
    key::KeySecret,
    statistics::StatisticsRecorder,
    store::{Keyspace, Store},
    telemetry::metrics::Metrics,
};

/// A rate limiter, which checks keys against policies.
///
/// A clone is cheap and shares all state with the original. Build one guard per application, and use clones of this
/// guard everywhere. The guard does not depend on HTTP: queue consumers and background tasks use it in the same way
/// as request handlers.
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

/// The state that all clones of a guard share.
pub(super) struct Shared {
    pub(super) store: Box<dyn Store>,
    pub(super) deadline: Duration,
    /// If the store has been down for longer than this time, the guard rejects requests in every failure mode. With
    /// `None`, this never happens.
    pub(super) fail_closed_after: Option<Duration>,
    pub(super) servers: ServerStates,
    pub(super) in_flight: InFlight,
    pub(super) shadow: ShadowRunner,
    pub(super) denial_cache: DenialCache,
    pub(super) leases: LeaseTable,
    pub(super) local: LocalFallback,
    pub(super) secret: Option<KeySecret>,
    pub(super) policies: Policies,
    pub(super) overrides: OverrideTable,
    /// The settings for an HTTP adapter. The guard stores these settings for the adapter, but does not use them.
    pub(super) http: HttpSettings,
    pub(super) failures: FailureCounters,
    pub(super) names: NameRegistry,
    pub(super) wait_queues: WaitQueues,
    pub(super) permits: PermitRegistry,
    /// Whether the store has reported [`StoreError::CrossSlot`]. If so, the guard calls the store separately for each
    /// key of a request.
    pub(super) is_cross_slot: AtomicBool,
    pub(super) is_closed: AtomicBool,
    pub(super) metrics: Metrics,
    pub(super) statistics: StatisticsRecorder,
    /// The start of the clock of this process.
    start: Instant,
    id: u64,
}

/// The id that the next guard gets. The ids start at 1, so an adapter can use 0 for "no guard".
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl RateGuard {
    /// Returns a guard that has the default settings, and counts in the memory of this process. To change settings, use
    /// [`builder`](Self::builder).
    #[must_use]
    pub fn in_memory() -> Self {
        Self::in_memory_with(MemoryStore::new())
    }

    /// Returns a guard with default settings that counts in the given in-memory store.
    #[doc(hidden)]
    pub fn in_memory_with(store: MemoryStore) -> Self {
        Self::new(Settings { store: Box::new(store), ..Settings::default() })
    }

    pub(super) fn new(settings: Settings) -> Self {
        let Settings { store, deadline, secret, policies, http, .. } = settings;
        // With an in-memory store, the guard has no denial cache, because the store decides as fast as a cache.
        // Cached denials could also be outdated, for two reasons. A check on the fast path (without a future) does not
        // remove cached denials. A cached denial does not expire when a test advances the store's manual clock.
        let has_cache = store.in_process().is_none();
        let denial_cache_ttl = if has_cache { settings.denial_cache_ttl } else { Duration::ZERO };
        let leases = LeaseTable::new(store.supports_leases());
        let start = Instant::now();
        let hashes_keys = secret.is_some() || has_cache;
        let now = store.in_process().map_or(Duration::ZERO, |store| store.now());
        let (statistics, kind) = (settings.statistics, settings.store_kind);
        let statistics = StatisticsRecorder::new(statistics, kind, hashes_keys, now);
        let shared = Shared {
            store,
            deadline,
            fail_closed_after: settings.fail_closed_after,
            servers: ServerStates::new(),
            in_flight: InFlight::new(settings.max_in_flight),
            shadow: ShadowRunner::new(settings.max_in_flight),
            denial_cache: DenialCache::new(denial_cache_ttl),
            leases,
            local: LocalFallback::new(settings.replicas, settings.mirrors_exactly),
            secret,
            policies,
            overrides: OverrideTable::new(settings.has_overrides),
            http,
            failures: FailureCounters::new(),
            names: NameRegistry::default(),
            wait_queues: WaitQueues::new(settings.max_waiting),
            permits: PermitRegistry::default(),
            is_cross_slot: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            metrics: Metrics::new(),
            statistics,
            start,
            id: NEXT_ID.fetch_add(1, Relaxed),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the store in which the guard counts.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Returns the server and the prefix of the keys, if the store is on Redis or Upstash.
    #[doc(hidden)]
    #[must_use]
    pub fn keyspace(&self) -> Option<&Keyspace> {
        self.shared.store.keyspace()
    }

    /// Whether the store may be outside this process. Only such a store can fail.
    #[doc(hidden)]
    #[must_use]
    pub fn has_remote_store(&self) -> bool {
        self.shared.store.in_process().is_none()
    }

    /// Returns the secret with which the guard hashes keys. `None` if the builder has set no secret.
    #[doc(hidden)]
    #[must_use]
    pub fn key_secret(&self) -> Option<&KeySecret> {
        self.shared.secret.as_ref()
    }

    /// Returns the settings that the policies file contains for an HTTP adapter.
    #[doc(hidden)]
    #[must_use]
    pub fn http_settings(&self) -> &HttpSettings {
        &self.shared.http
    }

    /// Whether the store has rejected a call because the keys of the call belong to different cluster slots. If so,
    /// the guard calls the store separately for each key.
    pub(super) fn is_cross_slot(&self) -> bool {
        self.shared.is_cross_slot.load(Relaxed)
    }

    /// Returns the key in the form that the store uses. The key is hashed, unless the store is in memory and the
    /// guard has no secret.
    #[doc(hidden)]
    pub fn hashed_key(&self, key: &Key) -> Key {
        let hashed = match &self.shared.secret {
            Some(secret) if !key.is_hashed() => secret.seal(key),
            Some(_) => key.digested(),
            None if self.shared.store.in_process().is_some() => return *key,
            None => key.digested(),
        };
        self.shared.statistics.store_readable_key(key, &hashed);
        hashed
    }

    /// Returns the time of the store if it is in this process, or else the time since the guard was built.
    pub(super) fn monotonic_time(&self) -> Duration {
        let Shared { store, start, .. } = &*self.shared;
        store.in_process().map_or_else(|| start.elapsed(), |store| store.now())
    }

    /// Records that the store failed while the guard counted an offence or started a ban.
    pub(super) fn record_ban_failure(&self, cause: StoreError) {
        self.record_store_error(cause);
        static LOG: ThrottledLog = ThrottledLog::new();
        if let Some(denials) = LOG.try_emit() {
            let server = server_suffix(self.keyspace());
            log::warn!(
                target: "rateguard",
                "failed to count denials for a ban{server}: {cause}; {denials} denials since the last message of this kind"
            );
        }
    }

    /// Returns the number of this guard. No other guard of this process ever has this number, not even after this guard
    /// has been dropped. The number is at least 1.
    #[doc(hidden)]
    #[must_use]
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Registers the names of the guard's policies at startup. After this, a limit with one of these names is only
    /// accepted if it has the same quotas as the policy with this name.
    pub(super) fn register_initial_policies(&self) {
        // No conflict is possible, because the registry is still empty and each name occurs only once in a policy
        // set.
        let policy_set = self.policy_set();
        let _ = self.shared.names.replace_policies(policy_set.policies(), true);
        self.register_policies(&policy_set);
    }

    /// Registers the name of a limit, together with the quotas and other settings that belong to this name.
    ///
    /// # Errors
    ///
    /// [`NameConflict`] if another limit or policy with this name has different quotas, bans or shadow settings.
    #[doc(hidden)]
    pub fn register_name(&self, registration: NameRegistration<'_>) -> Result<(), NameConflict> {
        self.shared.names.add(&registration)?;
        self.register_policy(registration.policy, registration.is_fixed);
        Ok(())
    }

    /// Registers the names of limits that have not checked a request yet. If there is a conflict, registers none of
    /// them.
    ///
    /// # Errors
    ///
    /// [`NameConflict`] as for [`register_name`](Self::register_name).
    #[doc(hidden)]
    pub fn register_names<'a>(
        &self,
        registrations: impl IntoIterator<Item = NameRegistration<'a>>,
    ) -> Result<(), NameConflict> {
        self.shared.names.add_all(registrations)
    }

    /// Registers the names of limits that the program has, but that have not checked a request yet. Rejects all limits
    /// with the name of a conflict, and returns the conflicts.
    #[doc(hidden)]
    pub fn register_or_reject_names<'a>(
        &self,
        registrations: impl IntoIterator<Item = NameRegistration<'a>>,
    ) -> Vec<NameConflict> {
        self.shared.names.add_each(registrations)
    }

    /// Whether [`register_name`](Self::register_name) would succeed. This method registers nothing.
    #[doc(hidden)]
    pub fn can_register_name(&self, registration: &NameRegistration<'_>) -> bool {
        self.name_conflict(registration).is_none()
    }

    /// Returns the error that [`register_name`](Self::register_name) would return. This method registers nothing.
    #[doc(hidden)]
    pub fn name_conflict(&self, registration: &NameRegistration<'_>) -> Option<NameConflict> {
        self.shared.names.conflict(registration)
    }

    /// Returns how many checks the store has failed to decide since this guard was built.
    #[must_use]
    pub fn failures(&self) -> Failures {
        self.shared.failures.totals()
    }
}

impl RateGuard {
    /// Returns the current policy with this name. The policy comes from the policies file or from
    /// [`RateGuardBuilder::policy`](crate::RateGuardBuilder::policy). Returns `None` if no policy has this name.
    ///
    /// If the guard has a policies file, call this method for each request. A policy that the program stores in a
    /// variable does not change when the file changes.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<Policy> {
        self.policy_set().policy(name).map(|named| named.policy.clone())
    }

    /// Returns the policies and plans that are in effect now.
    #[doc(hidden)]
    #[must_use]
    pub fn policy_set(&self) -> PolicySetRef<'_> {
        self.shared.policies.current()
    }

    /// Returns the failure mode for policies that do not set a failure mode.
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
