//! The builder of a guard.

use std::fmt;

use super::{InMemory, StoreConfig, settings::BuilderSettings};
use crate::{BuildError, RateGuard};

/// Builds a [`RateGuard`]. [`RateGuard::builder`], `RateGuard::redis` and similar functions return a builder.
///
/// `S` is the store in which the guard counts: [`InMemory`], `Redis`, `RedisPool`, `Upstash`, or a store of your own
/// ([`OwnStore`](super::OwnStore)). A builder only has the settings that have an effect with its store.
/// [`RateGuard::builder`] shows how a program chooses the store at run time.
#[must_use]
pub struct RateGuardBuilder<S = InMemory> {
    pub(super) store: S,
    pub(super) settings: BuilderSettings,
}

impl<S> RateGuardBuilder<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, settings: BuilderSettings::default() }
    }

    /// Sets the secret with which the guard hashes keys (HMAC-SHA-256, RFC 2104). The secret must have at least 16
    /// bytes, and must be the same on every application server. [`build`](Self::build) returns an error for a
    /// shorter secret. Default: no secret.
    ///
    /// Without a secret, an attacker who can read the store can find out to which client a hashed key belongs, because
    /// the attacker can hash every possible key. To hash all IPv4 addresses takes minutes. If you change the secret,
    /// all counts start from zero.
    pub fn key_secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.settings.secret = Some(secret.as_ref().to_vec());
        self
    }

    /// Sets whether the guard has overrides, with which [`RateGuard::set_override`] replaces the quotas of a policy for
    /// one key. Default: false, because a guard on Redis or Upstash with overrides reads their version about 7 times a
    /// second, in the background. Set it on every application server: a server without overrides enforces the quotas of
    /// the policy.
    ///
    /// A check needs no further store call for an override, because each process has the list in memory. With a
    /// [`store`](RateGuardBuilder::store) of your own that has no [documents](crate::store::Store::documents),
    /// [`build`](Self::build) returns an error.
    pub fn overrides(mut self, has_overrides: bool) -> Self {
        self.settings.has_overrides = has_overrides;
        self
    }

    /// Sets the maximum number of requests of clients that wait in this process because of the wait of a limit. Above
    /// this number, a request is denied immediately. Default: 10,000. With 0, no request waits.
    ///
    /// The bound does not apply to [`check_or_wait`](crate::Request::check_or_wait), because the program itself bounds
    /// the number of its calls.
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.settings.max_waiting.total = requests;
        self
    }

    /// Sets the maximum number of requests that wait in this process for the same policy and key, so that one client
    /// cannot use up the bound of the guard. See [`max_waiting`](Self::max_waiting). Default: 100.
    pub fn max_waiting_per_key(mut self, requests: usize) -> Self {
        self.settings.max_waiting.per_key = requests;
        self
    }
}

impl<S: StoreConfig> RateGuardBuilder<S> {
    /// Builds the guard. `build` does not wait for Redis, so an application can start while Redis is down. The guard
    /// connects to Redis later, when Redis is available.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is invalid, the policies file cannot be applied, or the system cannot start a
    /// thread.
    pub fn build(self) -> Result<RateGuard, BuildError> {
        let Self { store, mut settings } = self;
        let policies = settings.policies()?;
        settings.validate()?;
        let store = store.open(settings.deadline)?;
        if store.in_process().is_some_and(|it| it.max_keys() == 0) {
            return Err(BuildError::MaxKeys);
        }
        if settings.has_overrides && store.documents().is_none() {
            return Err(BuildError::Overrides);
        }
        let guard = settings.guard(store, S::KIND, S::DENIAL_CACHE_TTL, policies)?;
        #[cfg(feature = "config")]
        guard.watch_file().map_err(BuildError::Thread)?;
        guard.start_override_refresh();
        #[cfg(feature = "statistics")]
        guard.start_statistics();
        Ok(guard)
    }
}

impl<S: StoreConfig> fmt::Debug for RateGuardBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the name of the store is printed, because the URL of a store may contain a password.
        f.debug_struct("RateGuardBuilder")
            .field("store", &S::NAME)
            .field("deadline", &self.settings.deadline)
            .field("on_error", &self.settings.on_error)
            .field("policies", &self.settings.policies)
            .finish_non_exhaustive()
    }
}
