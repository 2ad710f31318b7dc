//! Defines the TLS settings for connections to Redis and Upstash.

use std::fmt;

/// The certificates for TLS connections to Redis (`rediss://`) or Upstash (`https://`).
///
/// By default, a certificate authority that the operating system trusts must have signed the certificate of the server.
/// The client sends no certificate.
///
/// ```no_run
/// # use actix_rateguard_core::{RateGuard, builder::RedisTls};
/// let tls = RedisTls::new()
///     .ca_certificates(std::fs::read("ca.pem")?)
///     .client_certificate(std::fs::read("client.pem")?, std::fs::read("client.key")?);
/// let guard = RateGuard::redis("rediss://redis.example:6380").prefix("shop").tls(tls).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// TLS uses the crypto provider of the process (`rustls::crypto::CryptoProvider::install_default`). If the process has
/// no crypto provider, TLS uses the provider of `ring`. For a guard on Redis, `build` then also installs the `ring`
/// provider in the process, because the Redis client uses only the provider of the process. To use another provider,
/// install it before `build`.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisTls {
    pub(super) authorities: Option<Vec<u8>>,
    pub(super) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Creates settings that use the certificate authorities of the system and no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the certificate authorities, in PEM format, that can sign the certificate of the server. TLS then does not
    /// use the certificate authorities of the system.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Sets the client certificate with its chain, and the private key of the certificate, both in PEM format. Call
    /// this method if the server requires client certificates.
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((certificate_pem.into(), key_pem.into()));
        self
    }
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("has_authorities", &self.authorities.is_some())
            .field("has_client_certificate", &self.client.is_some())
            .finish_non_exhaustive()
    }
}
