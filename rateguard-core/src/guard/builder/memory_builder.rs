//! The builder of a guard that counts in memory, or in a store of the application.

use super::{InMemory, OwnStore, RateGuardBuilder};
use crate::{MemoryStore, RateGuard, store::Store};

impl RateGuardBuilder<InMemory> {
    /// Sets the in-memory store, for example a store with a different [`max_keys`](MemoryStore::max_keys) setting.
    ///
    /// ```
    /// # use actix_rateguard_core::{MemoryStore, RateGuard};
    /// let guard = RateGuard::builder().memory_store(MemoryStore::new().max_keys(10_000)).build()?;
    /// # Ok::<(), actix_rateguard_core::BuildError>(())
    /// ```
    pub fn memory_store(mut self, store: MemoryStore) -> Self {
        self.store.store = store;
        self
    }

    /// Sets a store of your own in place of the in-memory store. The other settings of the builder stay the same. The
    /// returned builder also has the settings for stores that can fail, such as
    /// [`deadline`](RateGuardBuilder::deadline).
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use actix_rateguard_core::{RateGuard, store::Store};
    /// fn guard(store: Arc<dyn Store>) -> Result<RateGuard, actix_rateguard_core::BuildError> {
    ///     RateGuard::builder().store(store).deadline(Duration::from_millis(50)).build()
    /// }
    /// ```
    pub fn store(self, store: impl Store + 'static) -> RateGuardBuilder<OwnStore> {
        RateGuardBuilder { store: OwnStore::new(store), settings: self.settings }
    }
}

/// Functions that return a builder.
impl RateGuard {
    /// Returns a builder for a guard that counts in memory, or in a [`store`](RateGuardBuilder::store) of your own.
    ///
    /// The type of a builder contains the type of its store. A setting that has no effect with this store is a compile
    /// error:
    ///
    /// ```compile_fail,E0599
    /// # use actix_rateguard_core::RateGuard;
    /// let guard = RateGuard::builder().prefix("shop").build(); // no method named `prefix` found
    /// ```
    ///
    /// ```compile_fail,E0599
    /// # use {actix_rateguard_core::RateGuard, std::time::Duration};
    /// let guard = RateGuard::builder().deadline(Duration::from_millis(50)).build(); // its trait bounds were not satisfied
    /// ```
    ///
    /// If a program chooses its store at run time, a generic function can contain the settings that all stores have:
    ///
    #[cfg_attr(feature = "redis", doc = "```")]
    #[cfg_attr(not(feature = "redis"), doc = "```ignore")]
    /// use actix_rateguard_core::{BuildError, Plan, RateGuard, RateGuardBuilder};
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
        RateGuardBuilder::new(InMemory { store: MemoryStore::new() })
    }
}
