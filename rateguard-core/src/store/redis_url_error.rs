//! The error for a Redis URL.

use std::{error::Error, fmt};

/// The reason why a Redis URL is invalid. The error does not quote the URL, because the URL may have a password.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// The scheme is not `redis`, `rediss`, `redis+unix`, `redis+cluster`, `rediss+cluster`, `redis+sentinel` or
    /// `rediss+sentinel`.
    Scheme,
    /// The scheme needs TLS, but the feature `tls` is not enabled.
    Tls,
    /// The URL has `#insecure`. The client would then not verify the server's certificate.
    Insecure,
    /// The certificates or the key are not in PEM format, or the key does not belong to the certificate.
    Certificates,
    /// The URL of a cluster has a database. A cluster has only database 0.
    Database,
    /// The URL of sentinels has no service name.
    Service,
    /// The URL has a control character or white space. URL parsers silently remove some of these characters.
    Characters,
    /// The URL has an unknown query parameter.
    Parameter,
    /// The part after `redis://` is not a host with an optional port and database.
    Malformed,
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "expected a URL with redis://, rediss://, redis+unix://, redis+cluster:// or redis+sentinel://"
            }
            Self::Tls => "a rediss:// URL needs the feature `tls`",
            Self::Insecure => {
                "`#insecure` would accept any server; set its certificate authority with \
                 `.tls(RedisTls::new().ca_certificates(…))`"
            }
            Self::Certificates => {
                "invalid certificates or key in `.tls(…)`; expected PEM, and the key of the certificate"
            }
            Self::Database => {
                "a cluster has only database 0; expected redis+cluster://host:port,host:port"
            }
            Self::Service => {
                "missing service name; expected redis+sentinel://host:port,host:port/service"
            }
            Self::Characters => {
                "the URL has a control character or white space; percent-encode it in a password"
            }
            Self::Parameter => {
                "unknown query parameter; expected `protocol`, for redis+unix:// also `db`, `user` and \
                 `pass`, and for redis+sentinel:// also `sentinel_user` and `sentinel_password`"
            }
            Self::Malformed => {
                "expected redis://[user][:password@]host[:port][/database]; percent-encode characters \
                 such as / ? @ # in a password"
            }
        })
    }
}

crate::debug_as_display::debug_as_display!(RedisUrlError);

impl Error for RedisUrlError {}
