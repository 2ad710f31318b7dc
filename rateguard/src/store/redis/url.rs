//! Which Redis: the URL, without a word of it in an error.

use std::{error::Error, fmt};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Reads `redis://[user][:password@]host[:port][/database]`, the same with `rediss://`, or
/// `redis+unix:///path[?db=database]`.
pub(super) fn parse(url: &str) -> Result<ConnectionInfo, RedisUrlError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("redis" | "redis+unix") => {}
        #[cfg(feature = "tls")]
        Some("rediss") => {}
        #[cfg(not(feature = "tls"))]
        Some("rediss") => return Err(RedisUrlError::Tls),
        _ => return Err(RedisUrlError::Scheme),
    }
    if url.contains("#insecure") {
        return Err(RedisUrlError::Insecure);
    }
    // The library's message may quote the URL, and the URL may hold a password.
    let info = url.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
    match info.addr() {
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } => {
            // A check is one small packet; waiting for more to send with it would only delay it.
            let tcp = info.tcp_settings().clone().set_nodelay(true);
            Ok(info.set_tcp_settings(tcp))
        }
        ConnectionAddr::Unix(_) => Ok(info),
        _ => Err(RedisUrlError::Scheme),
    }
}

/// Why a URL is not one of a Redis that can be used. It quotes nothing of the URL, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// It begins with none of `redis://`, `rediss://` and `redis+unix://`.
    Scheme,
    /// It begins with `rediss://`, for which the feature `tls` is needed.
    Tls,
    /// It asks for TLS without a look at the server's certificate.
    Insecure,
    /// The certificates or the key are not in PEM, or do not belong together.
    Certificates,
    /// What follows `redis://` is not host, port and database.
    Malformed,
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL has to begin with redis://, rediss:// or redis+unix://",
            Self::Tls => "rediss:// (TLS) needs the feature `tls` of actix-rateguard",
            Self::Insecure => {
                "`#insecure` would take any server for the right one; give its authority with `.tls(RedisTls::new().ca_certificates(…))`"
            }
            Self::Certificates => {
                "the certificates or the key of `.tls(…)` cannot be used; they are PEM, and the key is that of the certificate"
            }
            Self::Malformed => {
                "the URL is not redis://[user][:password@]host[:port][/database]; characters such as / @ # in a password are percent-encoded"
            }
        })
    }
}

impl Error for RedisUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_port_and_database_are_read() {
        let info = parse("redis://limiter:p%40ss@redis.example:6380/3").unwrap();
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("redis.example".into(), 6380));
        assert_eq!(info.redis_settings().username(), Some("limiter"));
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 3);
    }

    const INSECURE: RedisUrlError =
        if cfg!(feature = "tls") { RedisUrlError::Insecure } else { RedisUrlError::Tls };

    #[test]
    fn what_cannot_be_used_is_refused_without_quoting_it() {
        for (url, error) in [
            ("", RedisUrlError::Scheme),
            ("localhost:6379", RedisUrlError::Scheme),
            ("http://:sentinel@localhost", RedisUrlError::Scheme),
            ("unix:///tmp/redis.sock", RedisUrlError::Scheme),
            #[cfg(not(feature = "tls"))]
            ("rediss://:sentinel@localhost", RedisUrlError::Tls),
            ("rediss://:sentinel@localhost/#insecure", INSECURE),
            ("redis://:sentinel@localhost:port", RedisUrlError::Malformed),
            ("redis://:sentinel@localhost/zero", RedisUrlError::Malformed),
            ("redis://", RedisUrlError::Malformed),
        ] {
            let refused = parse(url).unwrap_err();
            assert_eq!(refused, error, "{url}");
            assert!(!format!("{refused} {refused:?}").contains("sentinel"));
        }
    }
}
