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

/// Marks a [`RateGuardBuilder`] whose guard counts in Redis. The URL names a single server, a Redis Cluster, or a
/// service that Redis Sentinel monitors.
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
    const KIND: &'static str = "redis";
    const DENIAL_CACHE_TTL: Duration = DEFAULT_DENIAL_CACHE_TTL;

    fn open(self, deadline: Duration) -> Result<Box<dyn Store>, BuildError> {
        open(Server::At { url: self.url, tls: self.tls }, self.layout, deadline)
    }
}

/// Opens a store that counts in this server.
pub(super) fn open(
    server: Server,
    mut layout: KeyLayout,
    deadline: Duration,
) -> Result<Box<dyn Store>, BuildError> {
    let prefix = layout.prefix()?;
    let store = RedisStore::open(server, prefix, layout.log_encoding, deadline)?;
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
    /// The URL has one of these forms, where `login` is `:password` or `user:password`:
    ///
    /// - `redis://[login@]host[:port][/database]`
    /// - `redis+cluster://[login@]host[:port],host[:port]`, with the addresses of some nodes of a Redis Cluster
    /// - `redis+sentinel://[login@]host[:port],host[:port]/service[/database]`, with the addresses of the sentinels that
    ///   monitor the service. If the sentinels require a password, add `?sentinel_user=…&sentinel_password=…`.
    /// - for TLS (feature `tls`), each of the forms above with `rediss` in place of `redis`
    /// - `redis+unix:///path`, with the query parameters `db`, `user` and `pass`
    ///
    /// The default port is 6379. The default port of a sentinel is 26379. The query parameter `protocol=3` selects the
    /// protocol RESP3. The default protocol is RESP2. Percent-encode users and passwords. A URL with a part that is not
    /// listed here is invalid.
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").prefix("shop").build()?;
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
