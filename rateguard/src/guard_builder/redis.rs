//! The builder of a guard that counts in a Redis server, in a Redis Cluster, or in a service that Redis Sentinel
//! monitors.

use actix_rateguard_core::{self as core, builder::Redis};

use crate::{RateGuard, RateGuardBuilder};

#[cfg(feature = "tls")]
super::core_settings::core_settings! {
    /// Settings for a store in Redis.
    impl[] for Redis;

    /// Sets the certificates for TLS connections. Default: the guard trusts the certificate authorities of the
    /// system, and has no client certificate. This setting has an effect only if the scheme of the URL is `rediss`,
    /// `rediss+cluster` or `rediss+sentinel`.
    tls(tls: crate::builder::RedisTls);
}

impl RateGuard {
    /// Returns a builder for a guard that counts in the Redis server at `url`. Guards with the same
    /// [prefix](RateGuardBuilder::prefix) share their counts on that server. If the URL is invalid,
    /// [`build`](RateGuardBuilder::build) returns an error.
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
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::redis("redis://127.0.0.1:6379").prefix("shop").build()?;
    /// # Ok::<(), actix_rateguard::BuildError>(())
    /// ```
    pub fn redis(url: impl Into<String>) -> RateGuardBuilder<Redis> {
        RateGuardBuilder::new(core::RateGuard::redis(url))
    }
}
