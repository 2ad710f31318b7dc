//! The builder of a guard that counts in a Redis database at Upstash.

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
        tls::RedisTls,
        upstash::{Account, UpstashStore},
    },
};

/// Marks a [`RateGuardBuilder`] whose guard counts in a Redis database at Upstash. [`RateGuard::upstash`] returns such
/// a builder.
pub struct Upstash {
    account: Account,
    layout: KeyLayout,
}

impl FallibleStoreConfig for Upstash {}

impl RedisStoreConfig for Upstash {
    fn key_layout(&mut self) -> &mut KeyLayout {
        &mut self.layout
    }
}

impl OpenStore for Upstash {
    const NAME: &'static str = "Upstash";
    const KIND: &'static str = "upstash";
    const DENIAL_CACHE_TTL: Duration = DEFAULT_DENIAL_CACHE_TTL;

    fn open(self, deadline: Duration) -> Result<Box<dyn Store>, BuildError> {
        let Self { account, mut layout } = self;
        let prefix = layout.prefix()?;
        let store = UpstashStore::open(&account, prefix, layout.log_encoding, deadline)?;
        Ok(Box::new(store))
    }
}

impl RateGuardBuilder<Upstash> {
    /// Sets the certificates for TLS. Default: the certificate authorities of the system, and no client certificate.
    /// The setting only has an effect if the URL begins with `https://`.
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.store.account.tls = tls;
        self
    }
}

impl RateGuard {
    /// Returns a builder for a guard that counts in a Redis database at Upstash through its REST API. Guards with the
    /// same [prefix](RateGuardBuilder::prefix) share their counts in this database, even if some of the guards use
    /// the Redis protocol instead of REST. [`build`](RateGuardBuilder::build) returns an error for an invalid URL or
    /// token.
    ///
    /// The URL and the token are the values of `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` in Upstash's
    /// console. The URL has the form `https://host` or `https://host:port`. For a local server with the same API, the
    /// URL can begin with `http://`.
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let url = std::env::var("UPSTASH_REDIS_REST_URL")?;
    /// let token = std::env::var("UPSTASH_REDIS_REST_TOKEN")?;
    /// let guard = RateGuard::upstash(url, token).prefix("shop").build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upstash(url: impl Into<String>, token: impl Into<String>) -> RateGuardBuilder<Upstash> {
        let account = Account { url: url.into(), token: token.into(), tls: RedisTls::new() };
        RateGuardBuilder::new(Upstash { account, layout: KeyLayout::default() })
    }
}
