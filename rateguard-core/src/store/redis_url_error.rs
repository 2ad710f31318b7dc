//! Defines the error for an invalid Redis URL.

use std::{error::Error, fmt};

/// The reason why a Redis URL is invalid. The error never quotes the URL, because the URL can contain a password.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// The scheme is not `redis`, `rediss`, `redis+unix`, `redis+cluster`, `rediss+cluster`, `redis+sentinel` or
    /// `rediss+sentinel`.
    Scheme,
    /// The scheme requires TLS, but the cargo feature `tls` is not enabled.
    Tls,
    /// The URL contains `#insecure`, with which the client would not verify the certificate of the server.
    Insecure,
    /// The certificates or the private key are not in PEM format, or the private key does not match the certificate.
    Certificates,
    /// The URL of a cluster selects a database other than 0. A cluster has only database 0.
    ClusterDatabase,
    /// The database is not a whole number from 0 to 2147483647.
    Database,
    /// A host is neither a name of letters, digits, `-`, `.` and `_`, nor an IPv4 address, nor an IPv6 address in
    /// brackets. A possible cause is that the program has not replaced a variable such as `${HOST}`.
    Host,
    /// A port is not a number from 1 to 65535.
    Port,
    /// A host in the URL is `0.0.0.0` or `[::]`. A server can listen on this unspecified address, but a client cannot
    /// connect to it.
    UnspecifiedAddress,
    /// The URL of the sentinels contains no service name.
    Service,
    /// The URL begins or ends with white space or a control character, such as the line end of a file.
    Untrimmed,
    /// The URL contains a control character or white space. URL parsers silently remove some of these characters.
    Characters,
    /// The URL contains a query parameter that is not supported, is empty, occurs twice, or has no valid value.
    Parameter,
    /// The URL contains a user without a password, or an empty password.
    Login,
    /// The URL has several hosts, but the scheme allows only one host.
    Hosts,
    /// The part after `redis+unix://` is not the absolute path of a socket.
    Socket,
    /// The part after `://` does not have the form that the scheme requires, or a user, a password or a path is not
    /// percent-encoded.
    Malformed,
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "expected a URL with redis://, rediss://, redis+unix://, redis+cluster:// or redis+sentinel://"
            }
            Self::Tls => {
                "a rediss:// URL requires the feature `tls` of `actix-rateguard`; enable the feature in `Cargo.toml`: `actix-rateguard = { …, features = [\"tls\"] }`"
            }
            Self::Insecure => {
                "`#insecure` would accept any server; set its certificate authority with \
                 `.tls(RedisTls::new().ca_certificates(…))`"
            }
            Self::Certificates => {
                "invalid certificates or key in `.tls(…)`; expected PEM, and the key of the certificate"
            }
            Self::ClusterDatabase => {
                "a cluster has only database 0; expected redis+cluster://host:port,host:port"
            }
            Self::Database => {
                "invalid database; expected a whole number from 0 to 2147483647, as in redis://host:port/3"
            }
            Self::UnspecifiedAddress => {
                "0.0.0.0 and [::] are not the address of a server; use the host name or the address of the server, \
                 such as 127.0.0.1 on the same machine"
            }
            Self::Service => {
                "missing service name; expected redis+sentinel://host:port,host:port/service"
            }
            Self::Untrimmed => {
                "the URL begins or ends with white space or a line end; remove it, for example with `.trim()`"
            }
            Self::Host => {
                "invalid host; expected a name of letters, digits, `-`, `.` and `_`, an IPv4 address, or an \
                 IPv6 address in brackets. If the URL has a variable such as `${HOST}`, replace it first"
            }
            Self::Port => {
                "invalid port; expected a number from 1 to 65535, as in redis://host:6379. If the URL has a \
                 variable such as `${PORT}`, replace it first"
            }
            Self::Characters => {
                "the URL has a control character or white space; percent-encode it in a password"
            }
            Self::Parameter => {
                "invalid query parameter; expected `protocol=2` or `protocol=3`, for redis+unix:// also \
                 `db`, `user` and `pass`, and for redis+sentinel:// also `sentinel_user` and \
                 `sentinel_password`, each at most once. Without redis+unix://, the database is a \
                 path: redis://host:port/3"
            }
            Self::Login => {
                "expected a password, as in redis://:password@host or redis://user:password@host; \
                 without a login, omit the `@`"
            }
            Self::Hosts => {
                "expected one host; several hosts need redis+cluster:// or redis+sentinel://"
            }
            Self::Socket => {
                "expected the path of a socket, as in redis+unix:///run/redis.sock?db=3"
            }
            Self::Malformed => {
                "expected redis://[[user]:password@]host[:port][/database], \
                 redis+cluster://[[user]:password@]host[:port],host[:port],…, \
                 redis+sentinel://[[user]:password@]host[:port],host[:port],…/service[/database] or \
                 redis+unix:///path; percent-encode characters such as / ? @ # % in a user, a password \
                 or a path"
            }
        })
    }
}

actix_rateguard_grammar::debug_as_display!(RedisUrlError);

impl Error for RedisUrlError {}
