//! Creates the TLS configuration for connections to Upstash.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::store::tls::RedisTls;

impl RedisTls {
    /// Returns the configuration for rustls. Returns `None` if a certificate or the private key is malformed, if there
    /// is no certificate authority, or if the crypto provider of the process supports no version of TLS.
    pub(super) fn client_config(&self) -> Option<ClientConfig> {
        let read = |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok();
        let mut authorities = RootCertStore::empty();
        match &self.authorities {
            Some(pem) => {
                for authority in read(pem)? {
                    authorities.add(authority).ok()?;
                }
            }
            None => {
                // The list of the system may contain certificates that rustls cannot parse. Ignore these
                // certificates, because the remaining certificates are sufficient.
                let system = rustls_native_certs::load_native_certs().certs;
                authorities.add_parsable_certificates(system);
            }
        }
        if authorities.is_empty() {
            return None;
        }
        let config = ClientConfig::builder_with_provider(crypto_provider());
        let config = config.with_safe_default_protocol_versions().ok()?;
        let config = config.with_root_certificates(authorities);
        match &self.client {
            None => Some(config.with_no_client_auth()),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).ok()?;
                config.with_client_auth_cert(read(certificate)?, key).ok()
            }
        }
    }
}

/// Returns the crypto provider of the process, or the provider of `ring` if the process has none.
fn crypto_provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}
