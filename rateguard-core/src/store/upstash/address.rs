//! Where, and with what token: checked, and in no error.

use std::{error::Error, fmt, net::Ipv4Addr, net::Ipv6Addr};

use hyper::{Uri, header::HeaderValue, http::uri::Authority};
use rustls::pki_types::ServerName;

/// A server and what it knows us by.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that its certificate is for; `None` without TLS.
    pub(super) tls: Option<ServerName<'static>>,
    /// The field `Host`.
    pub(super) host_field: HeaderValue,
    /// The field `Authorization`.
    pub(super) authorization: HeaderValue,
}

impl Address {
    pub(super) fn parse(url: &str, token: &str) -> Result<Self, UpstashError> {
        let is_tls = match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UpstashError::Scheme),
        };
        let url: Uri = url.parse().map_err(|_| UpstashError::Malformed)?;
        let authority = url.authority().ok_or(UpstashError::Malformed)?;
        if !is_of_host_and_port(authority) || url.path() != "/" || url.query().is_some() {
            return Err(UpstashError::Malformed);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| UpstashError::Malformed)?;
        if !is_tls && !is_loopback(&host) {
            return Err(UpstashError::Plain);
        }
        let host_field = HeaderValue::try_from(authority.as_str());
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            tls: is_tls.then_some(name),
            host,
            host_field: host_field.map_err(|_| UpstashError::Malformed)?,
            authorization: authorization(token)?,
        })
    }
}

/// Whether there is nothing else in it, such as a password, or a port that is none.
fn is_of_host_and_port(authority: &Authority) -> bool {
    match authority.port() {
        None => authority.as_str() == authority.host(),
        Some(port) => authority.as_str() == format!("{}:{}", authority.host(), port.as_u16()),
    }
}

/// Whether what is sent there leaves this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse().is_ok_and(|it: Ipv4Addr| it.is_loopback())
        || host.parse().is_ok_and(|it: Ipv6Addr| it.is_loopback())
}

fn authorization(token: &str) -> Result<HeaderValue, UpstashError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UpstashError::Token);
    }
    let field = HeaderValue::try_from(format!("Bearer {token}"));
    let mut field = field.map_err(|_| UpstashError::Token)?;
    field.set_sensitive(true);
    Ok(field)
}

/// Why Upstash cannot be asked with this URL and token. It quotes neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstashError {
    /// The URL does not begin with `https://`.
    Scheme,
    /// The URL begins with `http://` and leads to another machine, to which the token would go in the clear.
    Plain,
    /// What follows `https://` is not a host, or a host and a port.
    Malformed,
    /// The token is empty, or has characters that no token has.
    Token,
    /// The system's certificate authorities cannot be found, or those that were given are not in PEM.
    Certificates,
}

impl fmt::Display for UpstashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "the URL has to begin with https://, as UPSTASH_REDIS_REST_URL does; for redis:// and rediss:// there is `RateGuard::redis`"
            }
            Self::Plain => {
                "http:// would send the token in the clear; it is for 127.0.0.1, [::1] and localhost alone, elsewhere use https://"
            }
            Self::Malformed => {
                "the URL is not https://host or https://host:port, without user, path or query"
            }
            Self::Token => {
                "the token has to be visible ASCII characters without spaces, as UPSTASH_REDIS_REST_TOKEN is"
            }
            Self::Certificates => {
                "there are no certificate authorities: the system has none, or those of `.tls(…)` are not in PEM"
            }
        })
    }
}

impl Error for UpstashError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read() {
        for (url, host, port, field, is_tls) in [
            ("https://eu1-xyz.upstash.io", "eu1-xyz.upstash.io", 443, "eu1-xyz.upstash.io", true),
            ("https://eu1.upstash.io/", "eu1.upstash.io", 443, "eu1.upstash.io", true),
            ("https://eu1.upstash.io:8443", "eu1.upstash.io", 8443, "eu1.upstash.io:8443", true),
            ("http://127.0.0.1:8079", "127.0.0.1", 8079, "127.0.0.1:8079", false),
            ("http://127.9.9.9", "127.9.9.9", 80, "127.9.9.9", false),
            ("http://[::1]:80", "::1", 80, "[::1]:80", false),
            ("http://localhost:80", "localhost", 80, "localhost:80", false),
        ] {
            let address = Address::parse(url, "token=").unwrap();
            assert_eq!((&*address.host, address.port), (host, port), "{url}");
            assert_eq!(
                (address.host_field.as_bytes(), address.tls.is_some()),
                (field.as_bytes(), is_tls)
            );
            assert_eq!(address.authorization, "Bearer token=");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_quoting_it() {
        for (url, error) in [
            ("", UpstashError::Scheme),
            ("sentinel.upstash.io", UpstashError::Scheme),
            ("\"https://sentinel.upstash.io\"", UpstashError::Scheme),
            ("rediss://:sentinel@eu1.upstash.io:6379", UpstashError::Scheme),
            ("http://sentinel.upstash.io", UpstashError::Plain),
            ("http://192.168.1.7:8079", UpstashError::Plain),
            ("http://127.0.0.1.sentinel.io", UpstashError::Plain),
            ("http://localhost.sentinel.io", UpstashError::Plain),
            ("https://", UpstashError::Malformed),
            ("https://:443", UpstashError::Malformed),
            ("https://sentinel.upstash.io:port", UpstashError::Malformed),
            ("https://sentinel.upstash.io:", UpstashError::Malformed),
            ("https://sentinel.upstash.io:65536", UpstashError::Malformed),
            ("https://default:sentinel@eu1.upstash.io", UpstashError::Malformed),
            ("https://sentinel@eu1.upstash.io", UpstashError::Malformed),
            ("https://eu1.upstash.io/sentinel", UpstashError::Malformed),
            ("https://eu1.upstash.io?_token=sentinel", UpstashError::Malformed),
            ("https://eu1.upstash.io\n", UpstashError::Malformed),
            ("https://eu1 sentinel.upstash.io", UpstashError::Malformed),
            ("https://sentinel_$.upstash.io", UpstashError::Malformed),
        ] {
            let refused = Address::parse(url, "token").err().unwrap_or_else(|| panic!("{url}"));
            assert_eq!(refused, error, "{url}");
            assert!(!format!("{refused} {refused:?}").contains("sentinel"));
        }
        for token in ["", " ", "two words", "token\n", "\"tök\"", "to\0ken"] {
            let refused = Address::parse("https://eu1.upstash.io", token).err();
            assert_eq!(refused, Some(UpstashError::Token), "{token}");
        }
    }
}
