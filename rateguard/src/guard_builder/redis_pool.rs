//! The builder of a guard that counts in the Redis server of an existing connection pool.

use actix_rateguard_core::{self as core, builder::RedisPool};

use crate::{RateGuard, RateGuardBuilder};

impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server of an existing connection pool. The guard
    /// reads the address and the certificates from the pool, so the builder has no `tls` setting.
    ///
    /// The guard opens its own connection, with the address, the password and the certificates of the pool. The guard
    /// does not use the connections of the pool, because the worker threads of the application poll these connections.
    /// A blocked worker thread would delay all checks on the connections that it polls.
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let pool = deadpool_redis::Config::from_url("redis://127.0.0.1:6379")
    ///     .create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let guard = RateGuard::redis_pool(pool.clone()).prefix("shop").build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn redis_pool(pool: deadpool_redis::Pool) -> RateGuardBuilder<RedisPool> {
        RateGuardBuilder::new(core::RateGuard::redis_pool(pool))
    }
}
