//! Tests that a guard at Upstash leaves the crypto provider of the process to the application. The provider of a process
//! cannot be removed, so this test has a process of its own.

use actix_rateguard_core::RateGuard;
use rustls::crypto::{CryptoProvider, ring};

#[test]
fn guard_at_upstash_installs_no_crypto_provider() {
    let build = || RateGuard::upstash("https://redis.example", "token").prefix("shop").build();
    build().unwrap();
    assert!(CryptoProvider::get_default().is_none());
    // The application can still install a provider of its own.
    ring::default_provider().install_default().unwrap();
    build().unwrap();
}
