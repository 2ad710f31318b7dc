//! Parses Redis URLs. Each part of a URL is either valid or an error, and no part is ignored. The errors never quote the
//! URL, because the URL may contain a password.

mod parts;
mod percent;
mod query;
mod server;

use redis::{ConnectionAddr, ConnectionInfo};

use self::{
    parts::{Login, Parts, parse_database},
    percent::decode,
    query::Query,
    server::{Session, server, tcp},
};
use crate::RedisUrlError;

/// True if the cargo feature `tls` is enabled, so that connections can use TLS.
const HAS_TLS: bool = cfg!(feature = "tls");

/// The servers to which a Redis URL refers.
#[derive(Debug)]
pub(super) enum Target {
    One(ConnectionInfo),
    /// A cluster. The URL lists one or more of its nodes.
    Cluster(Vec<ConnectionInfo>),
    /// The primary of a service that sentinels monitor. The sentinels report the address of the primary, so the
    /// address in `primary` is only a placeholder.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        primary: ConnectionInfo,
    },
}

/// Parses a URL of one of these forms, where `login` is `:password` or `user:password`:
///
/// - `redis://[login@]host[:port][/database]` or `rediss://…`
/// - `redis+unix:///path`, with the query parameters `db`, `user` and `pass`
/// - `redis+cluster://[login@]host[:port],host[:port],…` or `rediss+cluster://…`
/// - `redis+sentinel://[login@]host[:port],host[:port],…/service[/database]` or `rediss+sentinel://…`, with the query
///   parameters `sentinel_user` and `sentinel_password` if the sentinels require them
///
/// Each form also has the query parameter `protocol`, which is `2`, `resp2`, `3` or `resp3`. Users, passwords and the
/// path of a socket are percent-encoded.
pub(super) fn parse(url: &str) -> Result<Target, RedisUrlError> {
    let is_odd = |it: char| it.is_control() || it.is_whitespace();
    // For example the line end of a file with the URL.
    if url.starts_with(is_odd) || url.ends_with(is_odd) {
        return Err(RedisUrlError::Untrimmed);
    }
    if url.chars().any(is_odd) {
        return Err(RedisUrlError::Characters);
    }
    let (scheme, rest) = url.split_once("://").ok_or(RedisUrlError::Scheme)?;
    let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    match (plain, kind) {
        ("redis", "" | "unix" | "cluster" | "sentinel") => {}
        ("rediss", "" | "cluster" | "sentinel") if HAS_TLS => {}
        ("rediss", "" | "cluster" | "sentinel") => return Err(RedisUrlError::Tls),
        _ => return Err(RedisUrlError::Scheme),
    }
    if url.contains("#insecure") {
        return Err(RedisUrlError::Insecure);
    }
    // A fragment has no meaning. It is probably the second part of a password in which the `#` is not percent-encoded.
    if url.contains('#') {
        return Err(RedisUrlError::Malformed);
    }
    let has_tls = plain == "rediss";
    match kind {
        "unix" => unix(rest),
        "cluster" => cluster(has_tls, rest),
        "sentinel" => sentinel(has_tls, rest),
        _ => one(has_tls, rest),
    }
}

fn one(has_tls: bool, rest: &str) -> Result<Target, RedisUrlError> {
    let Parts { login, hosts, path, query } = Parts::parse(rest, 6379)?;
    let protocol = Query::parse(query, &["protocol"])?.protocol()?;
    let session = Session { login, database: parse_database(path)?, protocol };
    let [host] = <[_; 1]>::try_from(hosts).map_err(|_| RedisUrlError::Hosts)?;
    server(tcp(has_tls, host), &session).map(Target::One)
}

fn unix(rest: &str) -> Result<Target, RedisUrlError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // The URL has a host or a login in front of the path, or the path has no file name.
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(RedisUrlError::Socket);
    }
    let query = Query::parse(query, &["protocol", "db", "user", "pass"])?;
    let login = Login::of_query(&query, "user", "pass")?;
    let database = parse_database(query.get("db").unwrap_or_default())?;
    let session = Session { login, database, protocol: query.protocol()? };
    server(ConnectionAddr::Unix(decode(path)?.into()), &session).map(Target::One)
}

fn cluster(has_tls: bool, rest: &str) -> Result<Target, RedisUrlError> {
    let Parts { login, hosts, path, query } = Parts::parse(rest, 6379)?;
    if !matches!(path, "" | "0") {
        return Err(RedisUrlError::ClusterDatabase);
    }
    let protocol = Query::parse(query, &["protocol"])?.protocol()?;
    let session = Session { login, database: 0, protocol };
    let node = |host| server(tcp(has_tls, host), &session);
    Ok(Target::Cluster(hosts.into_iter().map(node).collect::<Result<_, _>>()?))
}

fn sentinel(has_tls: bool, rest: &str) -> Result<Target, RedisUrlError> {
    let Parts { login, hosts, path, query } = Parts::parse(rest, 26379)?;
    let query = Query::parse(query, &["protocol", "sentinel_user", "sentinel_password"])?;
    let (service, database) = path.split_once('/').unwrap_or((path, ""));
    // These are the characters that Sentinel allows in the name of a service.
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if service.is_empty() || !service.bytes().all(is_valid) {
        return Err(RedisUrlError::Service);
    }
    let session =
        Session { login, database: parse_database(database)?, protocol: query.protocol()? };
    let login = Login::of_query(&query, "sentinel_user", "sentinel_password")?;
    let of_sentinels = Session { login, ..Session::default() };
    let sentinel = |host| server(tcp(has_tls, host), &of_sentinels);
    // This address is only a placeholder, because the sentinels report the address of the primary. Names in `.invalid`
    // never resolve (RFC 2606).
    let placeholder = ("primary.invalid".to_owned(), 6379);
    Ok(Target::Sentinel {
        sentinels: hosts.into_iter().map(sentinel).collect::<Result<_, _>>()?,
        service: service.to_owned(),
        primary: server(tcp(has_tls, placeholder), &session)?,
    })
}

#[cfg(test)]
mod tests {
    use redis::ProtocolVersion;

    use super::*;

    #[test]
    fn user_password_port_and_database_are_parsed() {
        let Target::One(info) = parse("redis://limiter:p%40ss@redis.example:6380/3").unwrap()
        else {
            panic!("expected one server");
        };
        assert_eq!(info.addr(), &ConnectionAddr::Tcp("redis.example".into(), 6380));
        assert_eq!(info.redis_settings().username(), Some("limiter"));
        assert_eq!(info.redis_settings().password(), Some("p@ss"));
        assert_eq!(info.redis_settings().db(), 3);
    }

    /// Formats the address, the login and the database of each server.
    fn format(servers: &[ConnectionInfo]) -> Vec<String> {
        let format_one = |server: &ConnectionInfo| {
            let settings = server.redis_settings();
            let login = settings.username().zip(settings.password());
            format!("{} {login:?} {}", server.addr(), settings.db())
        };
        servers.iter().map(format_one).collect()
    }

    #[test]
    fn several_hosts_are_parsed() {
        let Target::Cluster(nodes) = parse("redis+cluster://u:p%40@a,b:7001,[::1]:7002").unwrap()
        else {
            panic!("expected a cluster");
        };
        let login = r#"Some(("u", "p@")) 0"#;
        let addresses = ["a:6379", "b:7001", "::1:7002"];
        assert_eq!(format(&nodes), addresses.map(|it| format!("{it} {login}")));

        let url =
            "redis+sentinel://u:p@a,[::1],c:5000/main/2?sentinel_password=s%2Fp&sentinel_user=s";
        let Target::Sentinel { sentinels, service, primary } = parse(url).unwrap() else {
            panic!("expected a service");
        };
        let login = r#"Some(("s", "s/p")) 0"#;
        let addresses = ["a:26379", "::1:26379", "c:5000"];
        assert_eq!(format(&sentinels), addresses.map(|it| format!("{it} {login}")));
        assert_eq!(service, "main");
        assert_eq!(format(&[primary]), [r#"primary.invalid:6379 Some(("u", "p")) 2"#]);
    }

    #[test]
    fn query_parameters_and_percent_encoding_are_parsed() {
        let url = "redis://:a%20b%09%23insecure@localhost/?protocol=resp3";
        let Target::One(info) = parse(url).unwrap() else { panic!("expected one server") };
        assert_eq!(info.redis_settings().password(), Some("a b\t#insecure"));
        assert_eq!(info.redis_settings().protocol(), ProtocolVersion::RESP3);
        let url = "redis+unix:///redis.sock?db=2&user=u&pass=p&protocol=2";
        let Target::One(info) = parse(url).unwrap() else { panic!("expected one server") };
        assert_eq!(info.redis_settings().db(), 2);
        assert_eq!(info.redis_settings().username(), Some("u"));
        assert_eq!(info.redis_settings().password(), Some("p"));
        let url = "redis+unix:///run/my%20redis.sock?pass=a+b%26c";
        let Target::One(info) = parse(url).unwrap() else { panic!("expected one server") };
        assert_eq!(info.addr(), &ConnectionAddr::Unix("/run/my redis.sock".into()));
        assert_eq!(info.redis_settings().password(), Some("a+b&c"));
        assert!(
            parse("redis+sentinel://a/main/?protocol=resp3&sentinel_user=s&sentinel_password=p")
                .is_ok()
        );
        assert!(parse("redis+cluster://a,b?protocol=resp3").is_ok());
    }

    const INSECURE: RedisUrlError =
        if HAS_TLS { RedisUrlError::Insecure } else { RedisUrlError::Tls };

    #[test]
    fn tls_url_without_the_feature_is_rejected() {
        assert_eq!(
            parse("rediss://:hunter2@localhost").err(),
            (!HAS_TLS).then_some(RedisUrlError::Tls)
        );
    }

    #[test]
    fn invalid_url_is_rejected_without_quoting_it() {
        for (url, error) in [
            ("", RedisUrlError::Scheme),
            ("localhost:6379", RedisUrlError::Scheme),
            ("http://:hunter2@localhost", RedisUrlError::Scheme),
            ("unix:///tmp/redis.sock", RedisUrlError::Scheme),
            ("rediss://:hunter2@localhost/#insecure", INSECURE),
            ("rediss://:hunter2@localhost/#inse\tcure", RedisUrlError::Characters),
            ("rediss://:hunter2@localhost/#\ninsecure", RedisUrlError::Characters),
            ("rediss://:hunter2@localhost/#insecure\r", RedisUrlError::Untrimmed),
            (" rediss://:hunter2@localhost/", RedisUrlError::Untrimmed),
            ("redi\tss://:hunter2@localhost/", RedisUrlError::Characters),
            ("redis://:hunt er2@localhost/", RedisUrlError::Characters),
            ("redis://:hunter2@localhost/\u{a0}", RedisUrlError::Untrimmed),
            ("redis://:hunter2@localhost/\0", RedisUrlError::Untrimmed),
            ("redis+cluster://:hunter2@a,\tb", RedisUrlError::Characters),
            ("redis+sentinel://:hunter2@a/ma\nin", RedisUrlError::Characters),
            ("redis://:hunter2@localhost/#secure", RedisUrlError::Malformed),
            ("redis://:hun#ter2@localhost/", RedisUrlError::Malformed),
            ("redis://:hunter2@localhost/?tls=true", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost/?protocol=resp3&db", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost/?protocol=resp4", RedisUrlError::Parameter),
            ("redis+unix:///redis.sock?pass=hunter2&password=hunter2", RedisUrlError::Parameter),
            ("redis+cluster://:hunter2@a,b?db=1", RedisUrlError::Parameter),
            ("redis+sentinel://:hunter2@a/main?pass=hunter2", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost:port", RedisUrlError::Port),
            ("redis://:hunter2@localhost/zero", RedisUrlError::Database),
            ("redis://", RedisUrlError::Malformed),
            ("redis+cluster://:hunter2@a,b:port", RedisUrlError::Port),
            ("redis+cluster://:hunter2@a,,b", RedisUrlError::Malformed),
            ("redis+cluster://:hunter2@a,b/1", RedisUrlError::ClusterDatabase),
            ("redis+cluster://", RedisUrlError::Malformed),
            ("redis+sentinel://:hunter2@a,b", RedisUrlError::Service),
            ("redis+sentinel://:hunter2@a,b/", RedisUrlError::Service),
            ("redis+sentinel://:hun/ter2@a/main", RedisUrlError::Malformed),
            ("redis+sentinel://:hunter2@a/main/two", RedisUrlError::Database),
            ("redis+sentinel://:hunter2@a//main", RedisUrlError::Service),
            ("redis+sentinel://:hunter2@a/my%20service", RedisUrlError::Service),
            ("redis+sentinel://:hunter2@a/main/2/", RedisUrlError::Database),
            ("redis+sentinel://a/main?sentinel_user=hunter2", RedisUrlError::Login),
            ("redis+sentinel://a/main?sentinel_password=", RedisUrlError::Parameter),
            // The URL library would ignore, change or repair a part of these URLs.
            ("redis://:hunter2@localhost?db=3", RedisUrlError::Parameter),
            ("redis://localhost?user=hunter2", RedisUrlError::Parameter),
            ("redis://localhost?protocol=2&protocol=3", RedisUrlError::Parameter),
            ("redis://localhost?protocol=", RedisUrlError::Parameter),
            ("redis://localhost?&&", RedisUrlError::Parameter),
            ("redis://localhost?protocol=2&", RedisUrlError::Parameter),
            ("redis+unix:///redis.sock?db=1&db=2", RedisUrlError::Parameter),
            ("redis://hunter2@localhost", RedisUrlError::Login),
            ("redis://hunter2:@localhost", RedisUrlError::Login),
            ("redis://:@localhost", RedisUrlError::Login),
            ("redis://@localhost", RedisUrlError::Login),
            ("redis+cluster://hunter2@a,b", RedisUrlError::Login),
            ("redis+unix:///redis.sock?user=hunter2", RedisUrlError::Login),
            ("redis://:hun@ter2@localhost", RedisUrlError::Malformed),
            ("redis+cluster://u:hunter2@a,u:hunter2@b", RedisUrlError::Malformed),
            ("redis://:hunter2%@localhost", RedisUrlError::Malformed),
            ("redis://:hunter2%zz@localhost", RedisUrlError::Malformed),
            ("redis://:hunter2%ff@localhost", RedisUrlError::Malformed),
            ("redis://u:hun/ter2@localhost", RedisUrlError::Malformed),
            ("redis://u:1/hunter2@localhost", RedisUrlError::Malformed),
            ("redis://a,b", RedisUrlError::Hosts),
            ("redis://a,b:6380/1", RedisUrlError::Hosts),
            ("redis://localhost:", RedisUrlError::Port),
            ("redis://localhost:0", RedisUrlError::Port),
            ("redis://localhost:+1", RedisUrlError::Port),
            ("redis://localhost:65536", RedisUrlError::Port),
            ("redis://localhost:${PORT}", RedisUrlError::Port),
            ("redis://:hunter2@${HOST}:6379", RedisUrlError::Host),
            ("redis://:6379", RedisUrlError::Host),
            ("redis://[::1", RedisUrlError::Host),
            ("redis://[::1]6379", RedisUrlError::Port),
            ("redis://::1", RedisUrlError::Host),
            ("redis://0.0.0.0", RedisUrlError::UnspecifiedAddress),
            ("redis://[::]:6379", RedisUrlError::UnspecifiedAddress),
            ("redis+cluster://a,0.0.0.0:7001", RedisUrlError::UnspecifiedAddress),
            ("redis://h%6fst", RedisUrlError::Host),
            ("redis://h\u{f6}st", RedisUrlError::Host),
            ("redis://localhost//3", RedisUrlError::Database),
            ("redis://localhost/3/", RedisUrlError::Database),
            ("redis://localhost/x/../3", RedisUrlError::Database),
            ("redis://localhost/-1", RedisUrlError::Database),
            ("redis://localhost/+1", RedisUrlError::Database),
            ("redis://localhost/2147483648", RedisUrlError::Database),
            ("redis+unix:///redis.sock?db=-1", RedisUrlError::Database),
            ("redis+unix://localhost/redis.sock", RedisUrlError::Socket),
            ("redis+unix://:hunter2@/redis.sock", RedisUrlError::Socket),
            ("redis+unix://redis.sock", RedisUrlError::Socket),
            ("redis+unix:///run/", RedisUrlError::Socket),
            ("redis+unix://", RedisUrlError::Socket),
            ("redis+cluster://a/0/", RedisUrlError::ClusterDatabase),
            ("redis+cluster://a:", RedisUrlError::Port),
            ("REDIS://localhost", RedisUrlError::Scheme),
            ("redis+tls://:hunter2@a", RedisUrlError::Scheme),
            ("rediss+unix:///hunter2", RedisUrlError::Scheme),
        ] {
            let found = parse(url).unwrap_err();
            assert_eq!(found, error, "{url}");
            assert!(!format!("{found} {found:?}").contains("hunter2"));
        }
    }

    #[test]
    fn message_of_a_malformed_url_shows_the_forms_of_all_schemes() {
        for (url, form) in [
            ("redis://:p%@h", "redis://[[user]:password@]host[:port][/database]"),
            ("redis+cluster://a,,b", "redis+cluster://[[user]:password@]host[:port],host[:port]"),
            ("redis+sentinel://a,/main", "redis+sentinel://[[user]:password@]host[:port],host"),
            ("redis+unix:///%zz", "redis+unix:///path"),
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(message.contains(form), "{url}: {message}");
        }
    }
}
