//! The stand-in for Upstash, with the access token of the tests and with guards that use it.

use std::{ops::Deref, time::Duration};

use actix_rateguard::{RateGuard, RateGuardBuilder, builder::Upstash};
use rustls::ServerConfig;

use super::{TEST_TIMEOUT, redis_server::free_port};

/// The access token of the server. The test program does not contain this text in any other place. Therefore an output
/// that contains the text proves that the token has leaked.
pub const TOKEN: &str = "Kp3-sentinel-token-8Rv=";

pub struct RestServer(rateguard_tests::upstash::RestServer);

impl RestServer {
    /// Starts a server that forwards commands to the Redis server at this URL.
    pub fn start(redis: &str) -> Self {
        Self::start_at(free_port(), None, redis)
    }

    pub fn start_at(port: u16, tls: Option<ServerConfig>, redis: &str) -> Self {
        Self(rateguard_tests::upstash::RestServer::start(port, tls, redis, TOKEN).unwrap())
    }

    /// Returns a guard on this server. The guard has no denial cache. Its deadline is [`TEST_TIMEOUT`], which is long
    /// enough for slow machines.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(TEST_TIMEOUT).build().unwrap()
    }

    /// Returns the settings of a guard on this server. The denial cache is disabled, and the deadline has its default
    /// value.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder<Upstash> {
        let settings = RateGuard::upstash(self.url(), TOKEN).prefix(prefix);
        settings.denial_cache_ttl(Duration::ZERO)
    }
}

impl Deref for RestServer {
    type Target = rateguard_tests::upstash::RestServer;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
