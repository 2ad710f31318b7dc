//! The builder of a guard that counts in the Redis server of an existing connection pool.

use std::time::Duration;

use super::{
    FallibleStoreConfig, RateGuardBuilder,
    key_layout::{DEFAULT_DENIAL_CACHE_TTL, KeyLayout, RedisStoreConfig},
    redis,
    store_config::OpenStore,
};
use crate::{
    BuildError, RateGuard,
    store::{Store, redis::Server},
};

/// Marks a [`RateGuardBuilder`] whose guard counts in the Redis server of a connection pool. [`RateGuard::redis_pool`]
/// returns such a builder.
pub struct RedisPool {
    pool: deadpool_redis::Pool,
    layout: KeyLayout,
}

impl FallibleStoreConfig for RedisPool {}

impl RedisStoreConfig for RedisPool {
    fn key_layout(&mut self) -> &mut KeyLayout {
        &mut self.layout
    }
}

impl OpenStore for RedisPool {
    const NAME: &'static str = "RedisPool";
    const KIND: &'static str = "redis";
    const DENIAL_CACHE_TTL: Duration = DEFAULT_DENIAL_CACHE_TTL;

    fn open(self, deadline: Duration) -> Result<Box<dyn Store>, BuildError> {
        redis::open(Server::Of(self.pool), self.layout, deadline)
    }
}

impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server of an existing connection pool. The builder has
    /// no `tls` setting, because the pool already contains the address and the certificates.
    ///
    /// The guard opens one separate connection with the pool's address, password and certificates. The guard does not
    /// use the connections of the pool, because the worker threads of the application poll these connections. A blocked
    /// worker thread would delay all checks on the connections that it polls.
    ///
    /// ```no_run
    /// # use actix_rateguard_core::RateGuard;
    /// let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
    ///     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let guard = RateGuard::redis_pool(pool.clone()).prefix("shop").build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn redis_pool(pool: deadpool_redis::Pool) -> RateGuardBuilder<RedisPool> {
        RateGuardBuilder::new(RedisPool { pool, layout: KeyLayout::default() })
    }
}
