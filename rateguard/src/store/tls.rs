//! TLS on the way to Redis.

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

/// How a Redis with TLS (`rediss://`, or Upstash by `https://`) is recognised, and how it recognises us.
///
/// By default the server's certificate has to be signed by one of the system's certificate authorities, and the server asks
/// for none of ours.
///
/// ```no_run
/// # use rateguard::{RateGuard, RedisTls};
/// let tls = RedisTls::new()
///     .ca_certificates(std::fs::read("ca.pem")?)
///     .client_certificate(std::fs::read("client.pem")?, std::fs::read("client.key")?);
/// let guard = RateGuard::redis("rediss://redis.example:6380").tls(tls).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The cryptography is that of the process (`rustls::crypto::CryptoProvider::install_default`). If it has none yet, `build`
/// installs that of `ring`; an application that wants another one installs it before.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisTls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// The system's authorities, and no certificate of ours.
    pub fn new() -> Self {
        Self::default()
    }

    /// The certificate authorities that the server's certificate has to be signed by, in PEM, instead of the system's.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Our certificate with its chain, and its private key, in PEM, for a server that asks for one.
    pub fn client_certificate(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// The same server with these certificates, if they can be read. One without TLS needs none.
    #[cfg(feature = "tls")]
    pub(super) fn with(&self, server: ConnectionInfo) -> Result<ConnectionInfo, RedisUrlError> {
        if !matches!(server.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(server);
        }
        install_cryptography();
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

    /// The same for rustls, if they can be read and there is any authority.
    #[cfg(feature = "upstash")]
    pub(super) fn client_config(&self) -> Option<ClientConfig> {
        install_cryptography();
        let read = |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok();
        let mut authorities = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for authority in read(pem)? {
                    authorities.add(authority).ok()?;
                }
            }
            None => {
                // The system may have some that nobody can read.
                let known = rustls_native_certs::load_native_certs().certs;
                authorities.add_parsable_certificates(known);
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

/// At start, so that no connection finds none. If there is one already, it stays.
fn install_cryptography() {
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
