//! Parses the URL and the token of an Upstash database. The errors quote neither the token nor the URL, because the
//! URL may contain a password.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::{Uri, header::HeaderValue, http::uri::Authority};
use rustls::pki_types::ServerName;

use crate::{
    UpstashError,
    store::connection::{Advice, Login, ServerLabel},
};

/// The address of an Upstash server, and the values of the headers for each request to it.
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// The name that the certificate of the server must have. It is `None` if the URL does not use TLS.
    pub(super) tls: Option<ServerName<'static>>,
    /// The value of the `Host` header.
    pub(super) host_header: HeaderValue,
    /// The value of the `Authorization` header.
    pub(super) authorization: HeaderValue,
}

impl Endpoint {
    pub(super) fn parse(url: &str, token: &str) -> Result<Self, UpstashError> {
        let is_tls = match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UpstashError::Scheme),
        };
        // The URL library ignores a fragment.
        let has_fragment = url.contains('#');
        let url: Uri = url.parse().map_err(|_| UpstashError::Malformed)?;
        let authority = url.authority().ok_or(UpstashError::Malformed)?;
        if !is_host_and_port(authority)
            || url.path() != "/"
            || url.query().is_some()
            || has_fragment
        {
            return Err(UpstashError::Malformed);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| UpstashError::Malformed)?;
        if !is_tls && !is_loopback(&host) {
            return Err(UpstashError::Plain);
        }
        let host_header = HeaderValue::try_from(authority.as_str());
        Ok(Self {
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            tls: is_tls.then_some(name),
            host,
            host_header: host_header.map_err(|_| UpstashError::Malformed)?,
            authorization: authorization(token)?,
        })
    }

    /// Describes the server in log messages.
    pub(super) fn label(&self) -> ServerLabel {
        let (host, port) = (&self.host, self.port);
        ServerLabel {
            text: format!("Upstash at {host}:{port}"),
            advice: &ADVICE,
            has_tls: self.tls.is_some(),
            login: Login::User,
            is_socket: false,
            is_server_address: true,
            addresses: vec![(host.clone(), port)],
            pool: 0,
        }
    }
}

static ADVICE: Advice = Advice {
    closed: "the server closed the connection; check that the URL is UPSTASH_REDIS_REST_URL",
    authentication: "the server rejected the token; check that it is UPSTASH_REDIS_REST_TOKEN of the same database",
    missing_login: "the server requires a token; set UPSTASH_REDIS_REST_TOKEN of the same database",
    invalid_reply: "the server has no REST interface of Upstash; check that the URL is UPSTASH_REDIS_REST_URL",
};

/// Returns true if the authority of the URL consists only of a host and an optional valid port. For example, a URL
/// with a password is not valid.
fn is_host_and_port(authority: &Authority) -> bool {
    match authority.port().map(|port| port.as_u16()) {
        None => authority.as_str() == authority.host(),
        Some(port) => port != 0 && authority.as_str() == format!("{}:{port}", authority.host()),
    }
}

/// Returns true if the host is the local machine. A token for the local machine is never sent over a network.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.parse().is_ok_and(|it: Ipv4Addr| it.is_loopback())
        || host.parse().is_ok_and(|it: Ipv6Addr| it.is_loopback())
}

fn authorization(token: &str) -> Result<HeaderValue, UpstashError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(UpstashError::Token);
    }
    let header = HeaderValue::try_from(format!("Bearer {token}"));
    let mut header = header.map_err(|_| UpstashError::Token)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_parsed() {
        for (url, host, port, host_header, is_tls) in [
            ("https://eu1-xyz.upstash.io", "eu1-xyz.upstash.io", 443, "eu1-xyz.upstash.io", true),
            ("https://eu1.upstash.io/", "eu1.upstash.io", 443, "eu1.upstash.io", true),
            ("https://eu1.upstash.io:8443", "eu1.upstash.io", 8443, "eu1.upstash.io:8443", true),
            ("http://127.0.0.1:8079", "127.0.0.1", 8079, "127.0.0.1:8079", false),
            ("http://127.9.9.9", "127.9.9.9", 80, "127.9.9.9", false),
            ("http://[::1]:80", "::1", 80, "[::1]:80", false),
            ("http://localhost:80", "localhost", 80, "localhost:80", false),
        ] {
            let endpoint = Endpoint::parse(url, "token=").unwrap();
            assert_eq!((&*endpoint.host, endpoint.port), (host, port), "{url}");
            assert_eq!(
                (endpoint.host_header.as_bytes(), endpoint.tls.is_some()),
                (host_header.as_bytes(), is_tls)
            );
            assert_eq!(endpoint.authorization, "Bearer token=");
        }
    }

    #[test]
    fn invalid_url_or_token_is_rejected_without_quoting_it() {
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
            ("https://eu1.upstash.io?", UpstashError::Malformed),
            ("https://eu1.upstash.io#sentinel", UpstashError::Malformed),
            ("https://eu1.upstash.io/#sentinel", UpstashError::Malformed),
            ("https://eu1.upstash.io//", UpstashError::Malformed),
            ("https://eu1.upstash.io:0", UpstashError::Malformed),
            ("https://eu1.upstash.io,eu2.upstash.io", UpstashError::Malformed),
            ("HTTPS://eu1.upstash.io", UpstashError::Scheme),
            ("https://eu1.upstash.io\n", UpstashError::Malformed),
            ("https://eu1 sentinel.upstash.io", UpstashError::Malformed),
            ("https://sentinel_$.upstash.io", UpstashError::Malformed),
        ] {
            let found = Endpoint::parse(url, "token").err().unwrap_or_else(|| panic!("{url}"));
            assert_eq!(found, error, "{url}");
            assert!(!format!("{found} {found:?}").contains("sentinel"));
        }
        for token in ["", " ", "two words", "token\n", "\"tök\"", "to\0ken"] {
            let found = Endpoint::parse("https://eu1.upstash.io", token).err();
            assert_eq!(found, Some(UpstashError::Token), "{token}");
        }
    }
}
