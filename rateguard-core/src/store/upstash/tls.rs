//! Creates the TLS configuration for connections to Upstash.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::store::tls::{RedisTls, install_crypto_provider};

impl RedisTls {
    /// Returns the configuration for rustls. Returns `None` if a certificate or the private key is malformed, or if
    /// there is no certificate authority.
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
                // The list of the system may contain certificates that rustls cannot parse. Ignore these
                // certificates, because the remaining certificates are sufficient.
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
