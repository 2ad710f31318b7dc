//! The builder of a guard that counts in memory, or in a store of the application.

use actix_rateguard_core::{
    self as core,
    builder::{InMemory, OwnStore},
};

use super::RateGuardBuilder;
use crate::{MemoryStore, RateGuard, store::Store};

impl RateGuardBuilder<InMemory> {
    /// Sets the in-memory store, for example one with another [`max_keys`](MemoryStore::max_keys).
    pub fn memory_store(mut self, store: MemoryStore) -> Self {
        self.core = self.core.memory_store(store);
        self
    }

    /// Sets a store of your own in place of the in-memory store. The other settings remain, and the returned builder
    /// also has the settings for stores that can fail, such as [`deadline`](RateGuardBuilder::deadline).
    pub fn store(self, store: impl Store + 'static) -> RateGuardBuilder<OwnStore> {
        RateGuardBuilder { core: self.core.store(store), http: self.http }
    }
}

/// Builders for each store.
impl RateGuard {
    /// Returns a builder for a guard that counts in memory, or in a [`store`](RateGuardBuilder::store) of your own.
    ///
    /// The type of a builder contains the store, so a setting that has no effect on the store is a compile error:
    ///
    /// ```compile_fail,E0599
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::builder().prefix("shop").build(); // no method named `prefix` found
    /// ```
    ///
    /// A program that chooses its store at run time has the common settings in a generic function:
    ///
    #[cfg_attr(feature = "redis", doc = "```")]
    #[cfg_attr(not(feature = "redis"), doc = "```ignore")]
    /// use actix_rateguard::{BuildError, Plan, RateGuard, RateGuardBuilder};
    ///
    /// fn limits<S>(builder: RateGuardBuilder<S>) -> RateGuardBuilder<S> {
    ///     builder.plan("free", Plan::of("10/minute")).plan("paid", Plan::of("1000/minute"))
    /// }
    ///
    /// fn guard(redis_url: Option<&str>) -> Result<RateGuard, BuildError> {
    ///     match redis_url {
    ///         Some(url) => limits(RateGuard::redis(url)).prefix("shop").build(),
    ///         None => limits(RateGuard::builder()).build(),
    ///     }
    /// }
    /// # guard(None)?;
    /// # Ok::<(), BuildError>(())
    /// ```
    pub fn builder() -> RateGuardBuilder {
        RateGuardBuilder::new(core::RateGuard::builder())
    }
}
