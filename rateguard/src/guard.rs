//! The guard of a web application: the limiter of the core crate, with the settings for HTTP.

use std::{fmt, ops::Deref, sync::Arc};

use actix_rateguard_core as core;
use actix_rateguard_headers::RETRY_AFTER;

#[cfg(feature = "test-util")]
use crate::MemoryStore;
use crate::{inventory::MiddlewareRegistry, settings::HttpSettings};

/// A rate limiter for a web application: it checks keys against policies, and holds the settings of responses.
///
/// A clone is cheap and shares all state, so build one guard per application and pass clones of that guard.
///
/// The guard dereferences to the [`RateGuard`](core::RateGuard) of `actix-rateguard-core`, which does not depend on
/// HTTP. Handlers, background tasks and queue consumers check, reset and ban keys with the methods of that type.
///
/// ```
/// # use actix_rateguard::{Key, Policy, RateGuard};
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
    core: core::RateGuard,
    http: Arc<HttpSettings>,
    /// The middlewares that were started, for the inventory.
    middlewares: Arc<MiddlewareRegistry>,
}

impl RateGuard {
    /// Returns a guard with default settings that counts in the memory of this process. To change the settings, use
    /// [`builder`](Self::builder).
    #[must_use]
    pub fn in_memory() -> Self {
        Self::from(core::RateGuard::in_memory())
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn in_memory_with(store: MemoryStore) -> Self {
        Self::from(core::RateGuard::in_memory_with(store))
    }

    pub(crate) fn with_settings(core: core::RateGuard, http: HttpSettings) -> Self {
        Self { core, http: Arc::new(http), middlewares: Arc::default() }
    }

    /// The names of the header fields that the limits of this guard write, for `Access-Control-Expose-Headers`. Without
    /// that header, scripts in browsers cannot read the fields of a response from another origin.
    ///
    /// ```
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::in_memory();
    /// assert!(guard.header_names().any(|name| name == "retry-after"));
    /// // actix_cors::Cors::default().expose_headers(guard.header_names())
    /// ```
    pub fn header_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let names: Vec<_> =
            self.http().headers.iter().flat_map(|dialect| dialect.field_names()).copied().collect();
        names.into_iter().chain([RETRY_AFTER])
    }

    pub(crate) fn http(&self) -> &HttpSettings {
        &self.http
    }

    pub(crate) fn middlewares(&self) -> &MiddlewareRegistry {
        &self.middlewares
    }
}

/// A guard with the default settings of responses.
impl From<core::RateGuard> for RateGuard {
    fn from(core: core::RateGuard) -> Self {
        Self::with_settings(core, HttpSettings::default())
    }
}

impl Deref for RateGuard {
    type Target = core::RateGuard;

    fn deref(&self) -> &core::RateGuard {
        &self.core
    }
}

impl fmt::Debug for RateGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
