//! The builder of a guard that counts in memory, or in a store that the application implements.

use actix_rateguard_core::{
    self as core,
    builder::{InMemory, OwnStore},
};

use super::RateGuardBuilder;
use crate::{MemoryStore, RateGuard, store::Store};

impl RateGuardBuilder<InMemory> {
    /// Sets the in-memory store, for example a store with a different [`max_keys`](MemoryStore::max_keys) setting.
    pub fn memory_store(mut self, store: MemoryStore) -> Self {
        self.core = self.core.memory_store(store);
        self
    }

    /// Replaces the in-memory store with a store that you implement. All settings that the builder already has stay the
    /// same. The returned builder also has the settings for stores that can fail, such as
    /// [`deadline`](RateGuardBuilder::deadline).
    pub fn store(self, store: impl Store + 'static) -> RateGuardBuilder<OwnStore> {
        RateGuardBuilder { core: self.core.store(store), http: self.http }
    }
}

/// Functions that return a builder for a guard.
impl RateGuard {
    /// Returns a builder for a guard that counts in memory, or in a [`store`](RateGuardBuilder::store) that you
    /// implement.
    ///
    /// The type of a builder contains the type of its store. If a program uses a setting that has no effect on this
    /// store, the program does not compile:
    ///
    /// ```compile_fail
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::builder().prefix("shop").build(); // this setting requires a guard on Redis
    /// ```
    ///
    /// If a program chooses its store at run time, a generic function can contain the settings that all stores have:
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
