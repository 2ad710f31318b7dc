//! The builder of a guard on a Redis server, a Redis Cluster, or a service of Redis Sentinel.

use actix_rateguard_core::{self as core, builder::Redis};

use crate::{RateGuard, RateGuardBuilder};

#[cfg(feature = "tls")]
super::core_settings::core_settings! {
    /// Settings for Redis.
    impl[] for Redis;

    /// The certificates for TLS. Default: the certificate authorities of the system, and no client certificate. This
    /// setting has an effect only on a URL with `rediss://`.
    tls(tls: crate::RedisTls);
}

impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts on that server. An invalid URL is an error of
    /// [`build`](RateGuardBuilder::build).
    ///
    /// The URL is one of
    ///
    /// - `redis://[user][:password@]host[:port][/database]`
    /// - `redis+cluster://[user][:password@]host[:port],host[:port]`: some of the nodes of a Redis Cluster
    /// - `redis+sentinel://[user][:password@]host[:port],host[:port]/service[/database]`: the sentinels that monitor
    ///   the service; with `?sentinel_user=…&sentinel_password=…` if the sentinels require a password
    /// - the same with `rediss` in place of `redis` for TLS (feature `tls`)
    /// - `redis+unix:///path[?db=database]`
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder<Redis> {
        RateGuardBuilder::new(core::RateGuard::redis(url))
    }
}
