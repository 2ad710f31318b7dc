//! Tests Redis over TLS. The tests sign the certificates with their own certificate authorities.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use actix_rateguard::{
    BuildError, Key, Policy, RateGuard, StoreError, builder::RedisTls, error::RedisUrlError,
};

use crate::support::{
    TEST_TIMEOUT,
    certificates::{Authority, authority, signed_by},
    folder::Folder,
    redis_server::{RedisServer, free_port, program},
    skipped,
};

/// A Redis server that accepts TLS connections only from clients with a certificate.
struct TlsServer {
    redis: RedisServer,
    port: u16,
    authority: Authority,
    _folder: Folder,
}

impl TlsServer {
    /// Starts a server. Returns `None` if the Redis build has no TLS support. For example, the builds on PyPI have no
    /// TLS support.
    fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with additional command line arguments.
    fn start_with(args: &[&str]) -> Option<Self> {
        if !has_tls() {
            skipped("this build of the server has no TLS");
            return None;
        }
        let folder = Folder::new();
        let authority = authority();
        let [certificate, key] = signed_by(&authority);
        let (ca, certificate, key) = (
            folder.file("ca.pem", &authority.pem()),
            folder.file("server.pem", &certificate),
            folder.file("server.key", &key),
        );
        let port = free_port();
        let port_text = port.to_string();
        let own = [
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "yes",
        ];
        let redis = RedisServer::start_with(&[&own, args].concat());
        Some(Self { redis, port, authority, _folder: folder })
    }

    fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    /// The TLS settings of a client that the server trusts.
    fn tls(&self) -> RedisTls {
        let [certificate, key] = signed_by(&self.authority);
        RedisTls::new().ca_certificates(self.authority.pem()).client_certificate(certificate, key)
    }
}

fn has_tls() -> bool {
    // A server with a TLS port cannot start without certificates. Only a build with TLS support reports that the
    // certificates are missing.
    let output = Command::new(program())
        .args(["--port", "0", "--tls-port", &free_port().to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("no Redis server is installed; run `scripts/test`, which installs one");
    String::from_utf8_lossy(&output.stdout).contains("No tls-cert-file configured")
}

/// Sends a check, and returns the number of remaining units.
async fn remaining(guard: &RateGuard) -> Result<u32, StoreError> {
    let policy = Policy::new("p", "9/hour").unwrap();
    guard.check(&policy, &Key::global()).await.map(|it| it.remaining()).map_err(|it| it.cause())
}

#[tokio::test]
async fn mutual_tls_with_trusted_certificates_connects() {
    let Some(server) = TlsServer::start() else { return };
    let settings = RateGuard::redis(server.url()).prefix("test").tls(server.tls());
    let guard = settings.deadline(TEST_TIMEOUT).build().unwrap();
    assert_eq!(remaining(&guard).await, Ok(8));
    assert_eq!(remaining(&guard).await, Ok(7));
}

#[tokio::test]
async fn cluster_nodes_are_connected_over_tls() {
    let args = ["--cluster-enabled", "yes", "--tls-cluster", "yes"];
    let Some(server) = TlsServer::start_with(&args) else { return };
    let mut all = redis::cmd("CLUSTER");
    all.arg("ADDSLOTS").arg((0..16_384).collect::<Vec<u32>>());
    all.exec(&mut server.redis.client()).unwrap();
    let url = server.url().replace("rediss", "rediss+cluster");
    let guard = RateGuard::redis(url)
        .prefix("test")
        .tls(server.tls())
        .deadline(TEST_TIMEOUT)
        .build()
        .unwrap();
    // The node needs a moment until it serves all cluster slots, so the first checks may fail.
    let started = Instant::now();
    while remaining(&guard).await != Ok(8) {
        assert!(started.elapsed() < TEST_TIMEOUT);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(remaining(&guard).await, Ok(7));
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").query(&mut server.redis.client()).unwrap();
    let ours = clients.lines().filter(|line| line.contains(&format!(":{} ", server.port)));
    assert!(ours.count() > 0, "{clients}");
}

#[tokio::test]
async fn untrusted_certificates_are_rejected_without_panic() {
    let Some(server) = TlsServer::start() else { return };
    let untrusted = authority();
    let [certificate, key] = signed_by(&server.authority);
    let [untrusted_certificate, untrusted_key] = signed_by(&untrusted);
    let trusting = || RedisTls::new().ca_certificates(server.authority.pem());
    for tls in [
        // This client trusts only the certificate authorities of the operating system. None of them has signed the
        // certificate of the server.
        RedisTls::new().client_certificate(certificate.clone(), key.clone()),
        RedisTls::new().ca_certificates(untrusted.pem()).client_certificate(certificate, key),
        trusting(),
        trusting().client_certificate(untrusted_certificate, untrusted_key),
    ] {
        let guard = RateGuard::redis(server.url()).prefix("test").tls(tls).build().unwrap();
        for _ in 0..3 {
            assert!(remaining(&guard).await.is_err());
        }
        assert!(!guard.health().is_good());
    }
}

#[test]
fn invalid_tls_settings_are_build_errors() {
    let build = |url: &str, tls| RateGuard::redis(url).prefix("test").tls(tls).build().unwrap_err();
    let url = "rediss://:sentinel@127.0.0.1:1";
    for tls in [
        RedisTls::new().client_certificate("sentinel", "sentinel"),
        RedisTls::new()
            .ca_certificates("-----BEGIN CERTIFICATE-----\nsentinel\n-----END CERTIFICATE-----"),
    ] {
        assert!(!format!("{tls:?}").contains("sentinel"));
        let error = build(url, tls);
        assert!(matches!(error, BuildError::Url(RedisUrlError::Certificates)), "{error}");
        assert!(!format!("{error} {error:?}").contains("sentinel"));
    }
    let error = build("rediss://127.0.0.1:1/#insecure", RedisTls::new());
    assert!(matches!(error, BuildError::Url(RedisUrlError::Insecure)), "{error}");
}
