//! The builder of a guard that counts in a Redis server, in a Redis Cluster, or in a service that Redis Sentinel
//! monitors.

use std::time::Duration;

use super::{
    FallibleStoreConfig, RateGuardBuilder,
    key_layout::{DEFAULT_DENIAL_CACHE_TTL, KeyLayout, RedisStoreConfig},
    store_config::OpenStore,
};
use crate::{
    BuildError, RateGuard,
    store::{
        Store,
        redis::{RedisStore, Server, TlsSettings},
    },
};

/// The store type of a [`RateGuardBuilder`] whose guard counts in a Redis server, cluster or service at a URL.
/// [`RateGuard::redis`] returns such a builder.
pub struct Redis {
    url: String,
    tls: TlsSettings,
    layout: KeyLayout,
}

impl FallibleStoreConfig for Redis {}

impl RedisStoreConfig for Redis {
    fn key_layout(&mut self) -> &mut KeyLayout {
        &mut self.layout
    }
}

impl OpenStore for Redis {
    const NAME: &'static str = "Redis";
    const DENIAL_CACHE_TTL: Duration = DEFAULT_DENIAL_CACHE_TTL;

    fn open(self, deadline: Duration) -> Result<Box<dyn Store>, BuildError> {
        open(Server::At { url: self.url, tls: self.tls }, self.layout, deadline)
    }
}

/// Opens a store that counts in this server.
pub(super) fn open(
    server: Server,
    layout: KeyLayout,
    deadline: Duration,
) -> Result<Box<dyn Store>, BuildError> {
    layout.validate()?;
    let store = RedisStore::open(server, layout.prefix, layout.log_encoding, deadline)?;
    Ok(Box::new(store))
}

#[cfg(feature = "tls")]
impl RateGuardBuilder<Redis> {
    /// Sets the certificates for TLS. Default: the certificate authorities of the system, and no client certificate.
    /// The setting only has an effect if the URL selects TLS, such as a URL that begins with `rediss://`.
    pub fn tls(mut self, tls: crate::store::tls::RedisTls) -> Self {
        self.store.tls = tls;
        self
    }
}

impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts in this server. [`build`](RateGuardBuilder::build)
    /// returns an error for an invalid URL.
    ///
    /// The URL has one of these forms:
    ///
    /// - `redis://[user][:password@]host[:port][/database]`
    /// - `redis+cluster://[user][:password@]host[:port],host[:port]`: the addresses of some of the nodes of a Redis
    ///   Cluster
    /// - `redis+sentinel://[user][:password@]host[:port],host[:port]/service[/database]`: the addresses of the
    ///   sentinels that monitor the service; add `?sentinel_user=…&sentinel_password=…` if the sentinels require a
    ///   password
    /// - one of the forms above with `rediss` in place of `redis`, for TLS (feature `tls`)
    /// - `redis+unix:///path[?db=database]`
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), actix_rateguard_core::BuildError>(())
    /// ```
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder<Redis> {
        RateGuardBuilder::new(Redis {
            url: url.into(),
            tls: TlsSettings::new(),
            layout: KeyLayout::default(),
        })
    }
}
