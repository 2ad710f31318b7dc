//! Why a URL cannot be used, without a word of it.

use std::{error::Error, fmt};

/// Why a URL is not one of a Redis that can be used. It quotes nothing of the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// It begins with none of `redis://`, `rediss://`, `redis+unix://`, `redis+cluster://` and `redis+sentinel://`.
    Scheme,
    /// It begins with `rediss://`, for which the feature `tls` is needed.
    Tls,
    /// It asks for TLS without a look at the server's certificate.
    Insecure,
    /// The certificates or the key are not in PEM, or do not belong together.
    Certificates,
    /// It is of a cluster, and names a database.
    Database,
    /// It is of sentinels, and does not name the service whose primary they know.
    Service,
    /// It has a control character or white space in it, some of which would be left out when it is read.
    Characters,
    /// It has a parameter behind `?` that is not known.
    Parameter,
    /// What follows `redis://` is not host, port and database.
    Malformed,
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "the URL has to begin with redis://, rediss://, redis+unix://, redis+cluster:// or redis+sentinel://"
            }
            Self::Tls => "rediss:// (TLS) needs the feature `tls` of actix-rateguard",
            Self::Insecure => {
                "`#insecure` would take any server for the right one; give its authority with `.tls(RedisTls::new().ca_certificates(…))`"
            }
            Self::Certificates => {
                "the certificates or the key of `.tls(…)` cannot be used; they are PEM, and the key is that of the certificate"
            }
            Self::Database => "a cluster has no databases: the URL is redis+cluster://host:port,host:port",
            Self::Service => {
                "the URL has to name the service that the sentinels know: redis+sentinel://host:port,host:port/service"
            }
            Self::Characters => {
                "the URL has a control character or white space in it; in a password they are percent-encoded"
            }
            Self::Parameter => {
                "the URL has an unknown parameter; known are `protocol`, for redis+unix:// also `db`, `user` and `pass`, and for redis+sentinel:// also `sentinel_user` and `sentinel_password`"
            }
            Self::Malformed => {
                "the URL is not redis://[user][:password@]host[:port][/database]; characters such as / ? @ # in a password are percent-encoded"
            }
        })
    }
}

impl Error for RedisUrlError {}
