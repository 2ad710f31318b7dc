//! Parses Redis URLs. The errors never quote the URL, because the URL may contain a password.

mod multi_host;

use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, io::tcp::socket2::TcpKeepalive};

use crate::RedisUrlError;

/// True if the cargo feature `tls` is enabled, so that connections can use TLS.
const HAS_TLS: bool = cfg!(feature = "tls");
/// If no data arrives for this time, TCP sends keepalive probes. Heartbeats are more frequent, so TCP sends these
/// probes only if the connection is dead.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// The time after which the operating system closes a connection whose server does not acknowledge the sent data.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

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

/// Parses a URL of one of these forms:
///
/// - `redis://[user][:password@]host[:port][/database]` or `rediss://…`
/// - `redis+unix:///path[?db=database]`
/// - `redis+cluster://[user][:password@]host[:port],host[:port],…` or `rediss+cluster://…`
/// - `redis+sentinel://[user][:password@]host[:port],host[:port],…/service[/database]` or `rediss+sentinel://…`, with
///   `?sentinel_user=user` and `sentinel_password=password` if the sentinels require them
pub(super) fn parse(url: &str) -> Result<Target, RedisUrlError> {
    // Reject these characters, because the URL library removes tabs and line ends. A URL such as `#inse<tab>cure`
    // would otherwise pass the test for `#insecure` below.
    if url.chars().any(|it| it.is_control() || it.is_whitespace()) {
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
    // Reject all other fragments too, although the URL library would ignore them. A fragment is probably the second
    // part of a password in which the `#` is not percent-encoded.
    if url.contains('#') {
        return Err(RedisUrlError::Malformed);
    }
    match kind {
        "cluster" => multi_host::cluster(plain, rest),
        "sentinel" => multi_host::sentinel(plain, rest),
        _ => one(url).map(Target::One),
    }
}

/// Parses a URL that has only one host.
fn one(url: &str) -> Result<ConnectionInfo, RedisUrlError> {
    let allowed: &[&str] = match url.starts_with("redis+unix:") {
        true => &["protocol", "db", "user", "pass"],
        false => &["protocol"],
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = query.split('&').filter(|pair| !pair.is_empty());
    let name_of = |pair| str::split_once(pair, '=').map_or(pair, |(name, _)| name);
    if !parameters.all(|pair| allowed.contains(&name_of(pair))) {
        return Err(RedisUrlError::Parameter);
    }
    // Do not return the error of the library, because it may quote the URL with the password.
    let info = url.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(RedisUrlError::Insecure),
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } => {
            let tcp = info.tcp_settings().clone();
            // Disable Nagle's algorithm, because it would delay small batches.
            let tcp = tcp.set_nodelay(true);
            let tcp = tcp.set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE));
            #[cfg(target_os = "linux")]
            let tcp = tcp.set_user_timeout(USER_TIMEOUT);
            Ok(info.set_tcp_settings(tcp))
        }
        ConnectionAddr::Unix(_) => Ok(info),
        _ => Err(RedisUrlError::Scheme),
    }
}

#[cfg(test)]
mod tests {
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
        let url = "redis+unix:///redis.sock?db=2&user=u&pass=p&protocol=2";
        let Target::One(info) = parse(url).unwrap() else { panic!("expected one server") };
        assert_eq!(info.redis_settings().db(), 2);
        assert!(parse("redis+sentinel://a/main?protocol=resp3&sentinel_user=s").is_ok());
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
            ("rediss://:hunter2@localhost/#insecure\r", RedisUrlError::Characters),
            (" rediss://:hunter2@localhost/", RedisUrlError::Characters),
            ("redi\tss://:hunter2@localhost/", RedisUrlError::Characters),
            ("redis://:hunt er2@localhost/", RedisUrlError::Characters),
            ("redis://:hunter2@localhost/\u{a0}", RedisUrlError::Characters),
            ("redis://:hunter2@localhost/\0", RedisUrlError::Characters),
            ("redis+cluster://:hunter2@a,\tb", RedisUrlError::Characters),
            ("redis+sentinel://:hunter2@a/ma\nin", RedisUrlError::Characters),
            ("redis://:hunter2@localhost/#secure", RedisUrlError::Malformed),
            ("redis://:hun#ter2@localhost/", RedisUrlError::Malformed),
            ("redis://:hunter2@localhost/?tls=true", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost/?protocol=resp3&db", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost/?protocol=resp4", RedisUrlError::Malformed),
            ("redis+unix:///redis.sock?pass=hunter2&password=hunter2", RedisUrlError::Parameter),
            ("redis+cluster://:hunter2@a,b?db=1", RedisUrlError::Parameter),
            ("redis+sentinel://:hunter2@a/main?pass=hunter2", RedisUrlError::Parameter),
            ("redis://:hunter2@localhost:port", RedisUrlError::Malformed),
            ("redis://:hunter2@localhost/zero", RedisUrlError::Malformed),
            ("redis://", RedisUrlError::Malformed),
            ("redis+cluster://:hunter2@a,b:port", RedisUrlError::Malformed),
            ("redis+cluster://:hunter2@a,,b", RedisUrlError::Malformed),
            ("redis+cluster://:hunter2@a,b/1", RedisUrlError::Database),
            ("redis+cluster://", RedisUrlError::Malformed),
            ("redis+sentinel://:hunter2@a,b", RedisUrlError::Service),
            ("redis+sentinel://:hunter2@a,b/", RedisUrlError::Service),
            ("redis+sentinel://:hun/ter2@a/main", RedisUrlError::Malformed),
            ("redis+sentinel://:hunter2@a/main/two", RedisUrlError::Malformed),
            ("redis+tls://:hunter2@a", RedisUrlError::Scheme),
            ("rediss+unix:///hunter2", RedisUrlError::Scheme),
        ] {
            let found = parse(url).unwrap_err();
            assert_eq!(found, error, "{url}");
            assert!(!format!("{found} {found:?}").contains("hunter2"));
        }
    }
}
