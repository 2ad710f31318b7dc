//! The builder of a guard on Upstash Redis.

use actix_rateguard_core::{self as core, builder::Upstash};

use super::core_settings::core_settings;
use crate::{RateGuard, RateGuardBuilder};

core_settings! {
    /// Settings for Upstash.
    impl[] for Upstash;

    /// The certificates for TLS. Default: the certificate authorities of the system, and no client certificate. This
    /// setting has an effect only on a URL with `https://`.
    tls(tls: crate::RedisTls);
}

impl RateGuard {
    /// Returns a builder for a guard that counts in a Redis database at Upstash through its REST API. Guards with the
    /// same [prefix](RateGuardBuilder::prefix) share their counts in that database, also guards that connect without
    /// REST. An invalid URL or token is an error of [`build`](RateGuardBuilder::build).
    ///
    /// URL and token are the values of `UPSTASH_REDIS_REST_URL` and `UPSTASH_REDIS_REST_TOKEN` in Upstash's console.
    /// The URL is `https://host` or `https://host:port`; `http://` is for a local server with the same API.
    ///
    /// ```no_run
    /// # use actix_rateguard::RateGuard;
    /// let url = std::env::var("UPSTASH_REDIS_REST_URL")?;
    /// let token = std::env::var("UPSTASH_REDIS_REST_TOKEN")?;
    /// let guard = RateGuard::upstash(url, token).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upstash(url: impl Into<String>, token: impl Into<String>) -> RateGuardBuilder<Upstash> {
        RateGuardBuilder::new(core::RateGuard::upstash(url, token))
    }
}
