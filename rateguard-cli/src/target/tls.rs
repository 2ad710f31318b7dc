//! The certificate authorities that can sign the certificate of a server or of Redis.

use std::{env, fs, path::Path, sync::Arc};

use rustls::crypto::ring::default_provider;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::exit::Failure;

/// The variable with a file of certificate authorities, as in OpenSSL.
const VARIABLE: &str = "SSL_CERT_FILE";

/// The files with the certificate authorities of the system: Debian and Alpine, Fedora, openSUSE, macOS and BSD.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Returns the certificate authorities in a file, in PEM format.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        let (file, kind) = (file.display(), error.kind());
        Failure::usage(format!(
            "expected a file with certificate authorities, failed to read {file}: {kind}"
        ))
    })
}

/// Returns the settings for HTTPS. Without a file, the certificate authorities are those of the system.
pub(super) fn https(file: Option<&Path>) -> Result<TlsConfig, Failure> {
    let variable = env::var_os(VARIABLE);
    let of_system = || SYSTEM.into_iter().map(Path::new).find(|path| path.exists());
    let file = file.or(variable.as_deref().map(Path::new)).or_else(of_system).ok_or_else(|| {
        Failure::usage("expected the certificate authorities of the system, found none")
            .help("pass a file with certificates in PEM format with `--ca-file`")
    })?;
    let pem = read(file)?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let file = file.display();
        return Err(Failure::usage(format!(
            "expected certificates in PEM format in {file}, found none"
        )));
    }
    let config = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates));
    Ok(config.unversioned_rustls_crypto_provider(Arc::new(default_provider())).build())
}
