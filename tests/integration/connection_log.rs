//! Tests the log messages about the connection to Redis and to Upstash. The guard writes these messages at its start,
//! even if no request arrives.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard, StoreError, builder::RedisTls};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::support::{
    certificates::{authority, signed_by},
    eventually,
    http_server::{HttpServer, response},
    log_lines,
    redis_server::{RedisServer, free_port, run},
    rest_server::{RestServer, TOKEN},
};

/// Waits until a log line contains all of these texts, and returns this line.
fn line_with(texts: &[&str]) -> String {
    eventually("the message is logged", || {
        log_lines::with(texts[0])
            .into_iter()
            .find(|line| texts.iter().all(|text| line.contains(text)))
    })
}

#[test]
fn failed_connection_is_logged_at_start_with_address_and_cause() {
    log_lines::collect();
    let closed = format!("127.0.0.1:{}", free_port());
    let [unresolvable, no_cluster, no_sentinel] = ["no-such-host", "no-cluster", "no-sentinel"]
        .map(|name| format!("{name}.invalid:{}", free_port()));
    let with_password = RedisServer::start();
    run::<()>(&mut with_password.client(), "CONFIG SET requirepass hunter2");
    let secured = format!("127.0.0.1:{}", with_password.port());
    let without_password = RedisServer::start();
    let socket = format!("/tmp/rateguard-no-such-socket-{}.sock", free_port());
    let plain = format!("127.0.0.1:{}", without_password.port());
    for (url, address, cause) in [
        (format!("redis://{closed}"), &closed, "connection refused"),
        (format!("redis://{unresolvable}/2"), &unresolvable, "cannot be resolved"),
        (format!("redis://:Zx9-wrong@{secured}"), &secured, "check both, and percent-encode"),
        (format!("redis://{secured}/1"), &secured, "add it to the URL: redis://:PASSWORD@HOST"),
        (
            format!("redis://:Zx9-wrong@{plain}/2"),
            &plain,
            "the server has no password, but the URL",
        ),
        (format!("redis+unix://{socket}"), &socket, "the socket file does not exist"),
        (format!("{}/99", without_password.url()), &plain, "has no database"),
        (format!("redis+cluster://{plain}"), &plain, "use redis:// for a single"),
        (format!("redis+cluster://{closed}"), &closed, "connection refused"),
        (format!("redis+sentinel://{closed}/main"), &closed, "connection refused"),
        (format!("redis+cluster://{no_cluster}"), &no_cluster, "`no-cluster.invalid` cannot be"),
        (format!("redis+sentinel://{no_sentinel}/main"), &no_sentinel, "cannot be resolved"),
    ] {
        let guard = RateGuard::redis(url).prefix("test").build().unwrap();
        let line = line_with(&[address, cause]);
        assert!(line.starts_with("ERROR connection to Redis at "), "{line}");
        assert!(!line.contains("Zx9-wrong") && !line.contains("hunter2"), "{line}");
        drop(guard);
    }
}

#[tokio::test]
async fn check_of_an_unresolved_host_names_the_cause() {
    log_lines::collect();
    let host = format!("unresolved-check.invalid:{}", free_port());
    let guard = RateGuard::redis(format!("redis://{host}")).prefix("test").build().unwrap();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    eventually("the first attempt fails", || (!guard.health().is_good()).then_some(()));
    let _ = guard.check(&policy, &Key::global()).await;
    line_with(&[&host, "WARN store check failed", "(the host name cannot be resolved)"]);
}

#[test]
fn outage_is_logged_once_and_so_is_its_end() {
    log_lines::collect();
    let mut redis = RedisServer::start();
    let address = format!("127.0.0.1:{}", redis.port());
    let _guard = redis.settings("connection-log").build().unwrap();
    line_with(&[&address, "INFO connected to Redis at "]);
    redis.kill();
    line_with(&[&address, "ERROR connection to Redis at ", "connection refused"]);
    redis.restart();
    eventually("the end of the outage is logged", || {
        (log_lines::with(&address).len() >= 3).then_some(())
    });
    let levels: Vec<String> = log_lines::with(&address)
        .iter()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(levels, ["INFO", "ERROR", "INFO"]);
}

#[tokio::test]
async fn connection_that_flaps_logs_one_pair_and_its_last_state() {
    log_lines::collect();
    let redis = RedisServer::start();
    let address = format!("127.0.0.1:{}", redis.port());
    let guard = redis.settings("connection-log").build().unwrap();
    line_with(&[&address, "INFO connected to Redis at "]);
    let mut client = redis.client();
    let policy = Policy::new("p", "1000000/hour").unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        run::<()>(&mut client, "CLIENT KILL TYPE normal SKIPME yes");
        // The check detects that the connection is closed.
        let _ = guard.check(&policy, &Key::global()).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    eventually("the guard has connected", || guard.health().is_good().then_some(()));
    let mut lines = log_lines::with(&address);
    lines.retain(|line| !line.starts_with("WARN store check failed"));
    let levels: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["INFO", "ERROR", "INFO"], "{lines:?}");
    assert!(lines[1].starts_with(&format!("ERROR connection to Redis at {address} failed: ")));
}

/// Starts a server that replies to `PING`, and closes the connection at every other command, as some proxies do. Returns
/// the address of the server.
fn start_closing_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            if line == "PING\r\n" {
                let _ = stream.write_all(b"+PONG\r\n");
            }
        }
    });
    address
}

#[test]
fn server_that_closes_connections_is_diagnosed() {
    log_lines::collect();
    let proxy = start_closing_proxy();
    let guard = RateGuard::redis(format!("redis://{proxy}")).prefix("test").build().unwrap();
    line_with(&[&proxy, "ERROR connection to Redis at ", "if a proxy is in front of Redis"]);
    assert_eq!(guard.health().cause(), Some(StoreError::Disconnected(None)));

    let full = RedisServer::start();
    let address = format!("127.0.0.1:{}", full.port());
    let mut client = full.client();
    run::<()>(&mut client, "CONFIG SET maxclients 1");
    let _guard = full.settings("test").build().unwrap();
    line_with(&[&address, "ERROR connection to Redis at ", "increase its setting `maxclients`"]);
}

/// Starts an HTTPS server that has no REST interface of Upstash. Returns the server and the certificate authority that
/// the server does not use.
fn start_other_https_server() -> (HttpServer, String) {
    let [certificate, key] = signed_by(&authority());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let not_found = |_: &_| response("404 Not Found", "", "<html>");
    (HttpServer::start_at(free_port(), Some(config), not_found).unwrap(), authority().pem())
}

#[test]
fn failed_connection_to_upstash_is_logged_at_start_with_address_and_cause() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let not_found = |_: &_| response("404 Not Found", "", "<html>");
    let other = HttpServer::start_at(free_port(), None, not_found).unwrap();
    let (https, authority) = start_other_https_server();
    let unreachable = StoreError::Unreachable(None);
    for (scheme, host, port, cause, message) in [
        ("http", "127.0.0.1", free_port(), unreachable, "connection refused"),
        ("https", "no-such-host.invalid", free_port(), unreachable, "cannot be resolved"),
        ("https", "127.0.0.1", https.port(), unreachable, "the TLS handshake failed"),
        ("http", "127.0.0.1", rest.port(), StoreError::Authentication, "UPSTASH_REDIS_REST_TOKEN"),
        ("http", "127.0.0.1", other.port(), StoreError::InvalidReply, "UPSTASH_REDIS_REST_URL"),
    ] {
        let builder = RateGuard::upstash(format!("{scheme}://{host}:{port}"), "Zx9-wrong");
        let tls = RedisTls::new().ca_certificates(authority.clone());
        let guard = builder.prefix("test").tls(tls).build().unwrap();
        let address = format!("connection to Upstash at {host}:{port} failed: ");
        let line = line_with(&[&address, message]);
        assert!(line.starts_with("ERROR ") && !line.contains("Zx9-wrong"), "{line}");
        assert_eq!(guard.health().cause(), Some(cause), "{message}");
    }
    // The guard has tested the token without running a command, because Upstash bills commands.
    assert_eq!(rest.commands(), Vec::<String>::new());
}

#[test]
fn outage_of_upstash_is_logged_once_and_so_is_its_end() {
    log_lines::collect();
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let port = rest.port();
    let address = format!("Upstash at 127.0.0.1:{port}");
    let guard = RateGuard::upstash(rest.url(), TOKEN).prefix("test").build().unwrap();
    line_with(&[&address, "INFO connected to "]);
    drop(rest);
    line_with(&[&address, "ERROR connection to "]);
    // The server closes its connections before its listener.
    eventually("the port is free", || TcpListener::bind(("127.0.0.1", port)).ok().map(drop));
    let _rest = RestServer::start_at(port, None, &redis.url());
    eventually("the end of the outage is logged", || {
        (log_lines::with(&address).len() >= 3).then_some(())
    });
    let levels = log_lines::with(&address);
    let levels: Vec<_> = levels.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(levels, ["INFO", "ERROR", "INFO"]);
    drop(guard);
}
