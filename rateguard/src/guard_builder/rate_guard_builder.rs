//! The builder of a guard. It contains the builder of the core crate and the settings for HTTP.

use std::{fmt, panic::Location};

use actix_rateguard_core as core;

use crate::{
    BuildError, RateGuard,
    builder::{InMemory, StoreConfig},
    inventory::{attribute_policies, register_attributes},
    settings::HttpSettings,
};

/// Builds a [`RateGuard`]. To create the builder, call [`RateGuard::builder`], [`RateGuard::redis`], or the
/// function for another store.
///
/// `S` is the type of the store in which the guard counts: [`InMemory`], `Redis`, `RedisPool`, `Upstash`, or
/// [`OwnStore`](crate::builder::OwnStore) for a store that you implement. A builder has only the settings that have
/// an effect on its store. The documentation of [`RateGuard::builder`] shows how a program can choose the store at
/// run time.
#[must_use]
pub struct RateGuardBuilder<S = InMemory> {
    pub(super) core: core::RateGuardBuilder<S>,
    pub(super) http: HttpSettings,
}

impl<S> RateGuardBuilder<S> {
    pub(super) fn new(core: core::RateGuardBuilder<S>) -> Self {
        Self { core, http: HttpSettings::default() }
    }
}

impl<S: StoreConfig> RateGuardBuilder<S> {
    /// Builds the guard. `build` does not wait for Redis, so an application server can start while Redis is down. The
    /// guard connects to Redis later, when Redis is available.
    ///
    /// # Errors
    ///
    /// [`BuildError`] in these cases:
    ///
    /// - A setting is invalid.
    /// - The guard cannot apply the policies file.
    /// - The guard lacks a policy that a macro attribute of the program uses.
    /// - Two macro attributes of the program have the same name and different settings.
    /// - The system cannot start a thread.
    #[track_caller]
    pub fn build(self) -> Result<RateGuard, BuildError> {
        let Self { mut core, mut http } = self;
        if http.is_for_attributes {
            core = core.attribute_policies(attribute_policies());
        }
        #[cfg(feature = "config")]
        {
            core = core.key_recipes(crate::key::recipe);
        }
        let core = core.build()?;
        http.apply(core.http_settings());
        http.validate()?;
        let guard = RateGuard::with_settings(core.clone(), http.with_secret(core.key_secret()));
        register_attributes(&guard)?;
        guard.record_worker(Location::caller());
        warn_of_allowed_proxies(&guard);
        Ok(guard)
    }
}

/// Logs a warning at startup if an access list allows a network in which all addresses are trusted proxies. This
/// entry of the list has no effect, because an access list never allows the address of a proxy.
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

impl<S: StoreConfig> fmt::Debug for RateGuardBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
