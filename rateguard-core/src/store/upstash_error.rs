//! Defines the error for an invalid URL, token or TLS setting of an Upstash database.

use std::{error::Error, fmt};

/// The reason why the URL, the token or the certificates for Upstash are invalid. The error never quotes the URL, the
/// token or a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstashError {
    /// The scheme of the URL is neither `https` nor `http`.
    Scheme,
    /// The URL begins with `http://`, but the host is not the local machine. The token would therefore be sent
    /// unencrypted.
    Plain,
    /// The part after `https://` is not a host with an optional port.
    Malformed,
    /// The token is empty, or contains characters that are not visible ASCII characters.
    Token,
    /// There are no certificate authorities, or the certificates or the private key in `tls` are not in PEM format.
    Certificates,
}

impl fmt::Display for UpstashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "expected a URL with https://, such as UPSTASH_REDIS_REST_URL; for redis:// and \
                 rediss:// use `RateGuard::redis`"
            }
            Self::Plain => {
                "http:// would send the token unencrypted; use https://, except for 127.0.0.1, [::1] \
                 and localhost"
            }
            Self::Malformed => {
                "expected https://host or https://host:port, without user, path or query"
            }
            Self::Token => {
                "expected a token of visible ASCII characters, such as UPSTASH_REDIS_REST_TOKEN"
            }
            Self::Certificates => {
                "no certificate authorities: the system has none, or `.tls(…)` has invalid PEM data"
            }
        })
    }
}

actix_rateguard_grammar::debug_as_display!(UpstashError);

impl Error for UpstashError {}
