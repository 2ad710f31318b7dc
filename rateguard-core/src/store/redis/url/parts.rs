//! Splits a Redis URL into its parts. Each part is either valid or an error, and no part is ignored.

use std::net::{IpAddr, Ipv6Addr};

use super::{percent::decode, query::Query};
use crate::RedisUrlError;

/// The parts of a URL after `://`.
pub(super) struct Parts<'a> {
    pub(super) login: Login,
    /// The host and the port of each server.
    pub(super) hosts: Vec<(String, u16)>,
    /// The part between the first `/` and the query.
    pub(super) path: &'a str,
    /// The part after the `?`.
    pub(super) query: &'a str,
}

/// The credentials in a URL.
#[derive(Default)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

impl<'a> Parts<'a> {
    /// Splits the part of the URL after `://`. A host without a port gets the default port.
    pub(super) fn parse(rest: &'a str, default_port: u16) -> Result<Self, RedisUrlError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Login::parse(login)?, hosts),
            None => (Login::default(), authority),
        };
        // An `@` in the path shows that the password contains a `/` that is not percent-encoded.
        if path.contains('@') {
            return Err(RedisUrlError::Malformed);
        }
        let hosts = hosts.split(',').map(|host| parse_host(host, default_port));
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        // A server can listen on 0.0.0.0 or ::, but these are not the address of a server.
        let is_unspecified =
            |host: &str| host.parse().is_ok_and(|address: IpAddr| address.is_unspecified());
        if hosts.iter().any(|(host, _)| is_unspecified(host)) {
            return Err(RedisUrlError::UnspecifiedAddress);
        }
        Ok(Self { login, hosts, path, query })
    }
}

impl Login {
    /// Parses `user:password` or `:password`.
    fn parse(text: &str) -> Result<Self, RedisUrlError> {
        // The password contains an `@` that is not percent-encoded, or each host has a login of its own.
        if text.contains('@') {
            return Err(RedisUrlError::Malformed);
        }
        // Redis has no login without a password, so the client library would ignore a user without a password.
        let (user, password) = text.split_once(':').ok_or(RedisUrlError::Login)?;
        Self::new(user, password)
    }

    /// Creates a login from the query parameters with these names.
    pub(super) fn of_query(
        query: &Query<'_>,
        user: &str,
        password: &str,
    ) -> Result<Self, RedisUrlError> {
        match (query.get(user), query.get(password)) {
            (None, None) => Ok(Self::default()),
            (user, password) => Self::new(user.unwrap_or_default(), password.unwrap_or_default()),
        }
    }

    /// Creates a login from percent-encoded texts. The user may be empty.
    fn new(user: &str, password: &str) -> Result<Self, RedisUrlError> {
        if password.is_empty() {
            return Err(RedisUrlError::Login);
        }
        let user = if user.is_empty() { None } else { Some(decode(user)?) };
        Ok(Self { user, password: Some(decode(password)?) })
    }
}

/// Parses a host with an optional port. An IPv6 address is in brackets.
fn parse_host(text: &str, default_port: u16) -> Result<(String, u16), RedisUrlError> {
    if text.is_empty() {
        return Err(RedisUrlError::Malformed);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(RedisUrlError::Host)?;
            let address = address.parse::<Ipv6Addr>().map_err(|_| RedisUrlError::Host)?;
            (address.to_string(), port)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (parse_name(&text[..end]).ok_or(RedisUrlError::Host)?, &text[end..])
        }
    };
    if port.is_empty() {
        return Ok((host, default_port));
    }
    let port = port.strip_prefix(':').and_then(parse_port).ok_or(RedisUrlError::Port)?;
    Ok((host, port))
}

fn parse_name(text: &str) -> Option<String> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (!text.is_empty() && text.bytes().all(is_valid)).then(|| text.to_owned())
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// Parses the number of a database. An empty text is database 0.
pub(super) fn parse_database(text: &str) -> Result<i64, RedisUrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    // Redis has at most 2^31 - 1 databases.
    let number = text.parse::<i32>().ok().filter(|_| is_number);
    number.map(i64::from).ok_or(RedisUrlError::Database)
}
