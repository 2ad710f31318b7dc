//! The builder of a guard that counts in a Redis database at Upstash.

use actix_rateguard_core::{self as core, builder::Upstash};

use super::core_settings::core_settings;
use crate::{RateGuard, RateGuardBuilder};

core_settings! {
    /// Settings for a store at Upstash.
    impl[] for Upstash;

    /// Sets the certificates for TLS connections. Default: the guard trusts the certificate authorities of the
    /// system, and has no client certificate. This setting has an effect only if the scheme of the URL is `https`.
    tls(tls: crate::builder::RedisTls);
}

impl RateGuard {
    /// Returns a builder for a guard that counts in a Redis database at Upstash, and uses the REST API of this
    /// database. Guards with the same [prefix](RateGuardBuilder::prefix) share their counts in that database, even
    /// if one guard uses the REST API and another guard uses the Redis protocol. If the URL or the token is
    /// invalid, [`build`](RateGuardBuilder::build) returns an error.
    ///
    /// The Upstash console shows the URL as `UPSTASH_REDIS_REST_URL` and the token as `UPSTASH_REDIS_REST_TOKEN`. The
    /// URL has the form `https://host` or `https://host:port`. For a local server with the same API, the URL can begin
    /// with `http://`.
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let url = std::env::var("UPSTASH_REDIS_REST_URL")?;
    /// let token = std::env::var("UPSTASH_REDIS_REST_TOKEN")?;
    /// let guard = RateGuard::upstash(url, token).prefix("shop").build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upstash(url: impl Into<String>, token: impl Into<String>) -> RateGuardBuilder<Upstash> {
        RateGuardBuilder::new(core::RateGuard::upstash(url, token))
    }
}
