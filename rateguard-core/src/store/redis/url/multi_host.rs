//! Parses Redis URLs that have several hosts.

use super::{Target, one};
use crate::RedisUrlError;

/// Parses the URL of a cluster. `plain` is the scheme without `+cluster`, and `rest` is the part of the URL after
/// `://`.
pub(super) fn cluster(plain: &str, rest: &str) -> Result<Target, RedisUrlError> {
    let Hosts { login, hosts, path, query } = Hosts::parse(rest, 6379);
    if !matches!(path, "" | "/" | "/0") {
        return Err(RedisUrlError::Database);
    }
    let node = |host: &String| one(&format!("{plain}://{login}{host}{query}"));
    Ok(Target::Cluster(hosts.iter().map(node).collect::<Result<_, _>>()?))
}

/// Parses the URL of a service that sentinels monitor. `plain` is the scheme without `+sentinel`, and `rest` is the
/// part of the URL after `://`.
pub(super) fn sentinel(plain: &str, rest: &str) -> Result<Target, RedisUrlError> {
    let hosts = Hosts::parse(rest, 26379);
    let (service, database) = {
        let path = hosts.path.trim_start_matches('/');
        path.split_once('/').unwrap_or((path, ""))
    };
    if service.is_empty() {
        return Err(RedisUrlError::Service);
    }
    if hosts.path.contains('@') {
        // The password contains a `/` that is not percent-encoded. The path therefore begins in the middle of the
        // password.
        return Err(RedisUrlError::Malformed);
    }
    let mut sentinel_login = [""; 2];
    let mut query = String::new();
    for pair in hosts.query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sentinel_user", user)) => sentinel_login[0] = user,
            Some(("sentinel_password", password)) => sentinel_login[1] = password,
            _ => {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(pair);
            }
        }
    }
    let sentinel_login = match sentinel_login {
        ["", ""] => String::new(),
        [user, password] => format!("{user}:{password}@"),
    };
    let sentinel = |host: &String| one(&format!("{plain}://{sentinel_login}{host}"));
    Ok(Target::Sentinel {
        sentinels: hosts.hosts.iter().map(sentinel).collect::<Result<_, _>>()?,
        service: service.to_owned(),
        // This address is only a placeholder, because the sentinels report the address of the primary. Names in
        // `.invalid` never resolve (RFC 2606).
        primary: one(&format!("{plain}://{}primary.invalid/{database}{query}", hosts.login))?,
    })
}

/// The parts of a URL that has several hosts.
struct Hosts<'a> {
    /// The user and the password with the `@` after them. Empty if the URL has no login.
    login: &'a str,
    /// The hosts. Each host has a port.
    hosts: Vec<String>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Hosts<'a> {
    /// Splits the part of the URL after `://` into its parts. A host without a port gets the default port.
    fn parse(rest: &'a str, default_port: u16) -> Self {
        let (rest, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let with_port = |host: &str| {
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
            if has_port { host.to_owned() } else { format!("{host}:{default_port}") }
        };
        Self { login, hosts: hosts.split(',').map(with_port).collect(), path, query }
    }
}
