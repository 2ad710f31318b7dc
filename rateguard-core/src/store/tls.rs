//! TLS settings for connections to Redis.

use std::fmt;

#[cfg(feature = "tls")]
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, TlsCertificates};
#[cfg(feature = "upstash")]
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

#[cfg(feature = "tls")]
use crate::store::redis::RedisUrlError;

/// The certificates for TLS connections to Redis (`rediss://`) or Upstash (`https://`).
///
/// By default, the server's certificate must be signed by one of the system's certificate authorities, and there is no
/// client certificate.
///
/// ```no_run
/// # use actix_rateguard_core::{RateGuard, RedisTls};
/// let tls = RedisTls::new()
///     .ca_certificates(std::fs::read("ca.pem")?)
///     .client_certificate(std::fs::read("client.pem")?, std::fs::read("client.key")?);
/// let guard = RateGuard::redis("rediss://redis.example:6380").tls(tls).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// TLS uses the crypto provider of the process (`rustls::crypto::CryptoProvider::install_default`). If the process has
/// no provider, `build` installs the provider of `ring`. To use another provider, install it before `build`.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisTls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Creates settings with the system's certificate authorities and without a client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the certificate authorities for the server's certificate, in PEM. The system's certificate authorities are
    /// then not used.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Sets the client certificate with its chain, and its private key, in PEM. Set it if the server requires client
    /// certificates.
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// Adds the certificates to the settings of a server. Settings without TLS do not change.
    #[cfg(feature = "tls")]
    pub(super) fn with(&self, server: ConnectionInfo) -> Result<ConnectionInfo, RedisUrlError> {
        if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(server);
        }
        install_crypto_provider();
        let client_tls = self.client.clone();
        let certificates = TlsCertificates {
            client_tls: client_tls
                .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: self.authorities.clone(),
        };
        let client = Client::build_with_tls(server, certificates);
        let client = client.map_err(|_| RedisUrlError::Certificates)?;
        Ok(client.get_connection_info().clone())
    }

    /// Returns the configuration for rustls, or `None` if a certificate or a key is malformed, or there is no
    /// certificate authority.
    #[cfg(feature = "upstash")]
    pub(super) fn client_config(&self) -> Option<ClientConfig> {
        install_crypto_provider();
        let read = |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok();
        let mut authorities = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for authority in read(pem)? {
                    authorities.add(authority).ok()?;
                }
            }
            None => {
                // The system's list may contain certificates that rustls cannot parse. Ignore them, because the others
                // are sufficient.
                let system = rustls_native_certs::load_native_certs().certs;
                authorities.add_parsable_certificates(system);
            }
        }
        if authorities.is_empty() {
            return None;
        }
        let config = ClientConfig::builder().with_root_certificates(authorities);
        match &self.client {
            None => Some(config.with_no_client_auth()),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).ok()?;
                config.with_client_auth_cert(read(certificate)?, key).ok()
            }
        }
    }
}

/// Installs the crypto provider of `ring`, if the process has none.
fn install_crypto_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("has_authorities", &self.authorities.is_some())
            .field("has_client_certificate", &self.client.is_some())
            .finish_non_exhaustive()
    }
}
