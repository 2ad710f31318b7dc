//! Redis over TLS: a real server with certificates of the test's own.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rateguard::{BuildError, Key, Policy, RateGuard, RedisTls, RedisUrlError, StoreError};

use crate::support::{
    PATIENCE,
    certificates::{Authority, authority, signed_by},
    folder::Folder,
    redis_server::{RedisServer, free_port, program},
    skipped,
};

/// A server that speaks TLS and wants to see a certificate.
struct Secure {
    server: RedisServer,
    port: u16,
    authority: Authority,
    _folder: Folder,
}

impl Secure {
    /// `None` if this build of the server has no TLS, as those from PyPI do.
    fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// With further command-line arguments.
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
        let server = RedisServer::start_with(&[&own, args].concat());
        Some(Self { server, port, authority, _folder: folder })
    }

    fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }

    /// What a client needs that it knows.
    fn tls(&self) -> RedisTls {
        let [certificate, key] = signed_by(&self.authority);
        RedisTls::new().ca_certificates(self.authority.pem()).client_certificate(certificate, key)
    }
}

fn has_tls() -> bool {
    // None goes on without a certificate, but only those that have TLS ask for one.
    let output = Command::new(program())
        .args(["--port", "0", "--tls-port", &free_port().to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("a Redis server is installed; `scripts/test` sees to that");
    String::from_utf8_lossy(&output.stdout).contains("No tls-cert-file configured")
}

async fn checked(guard: &RateGuard) -> Result<u32, StoreError> {
    let policy = Policy::new("p", "9/hour").unwrap();
    guard.check(&policy, &Key::global()).await.map(|it| it.remaining()).map_err(|it| it.cause())
}

#[tokio::test]
async fn a_server_is_used_that_our_authority_has_signed_and_that_knows_us() {
    let Some(secure) = Secure::start() else { return };
    let settings = RateGuard::redis(secure.url()).tls(secure.tls());
    let guard = settings.deadline(PATIENCE).build().unwrap();
    assert_eq!(checked(&guard).await, Ok(8));
    assert_eq!(checked(&guard).await, Ok(7));
}

#[tokio::test]
async fn the_nodes_of_a_cluster_are_used_as_the_url_says() {
    let args = ["--cluster-enabled", "yes", "--tls-cluster", "yes"];
    let Some(secure) = Secure::start_with(&args) else { return };
    let mut all = redis::cmd("CLUSTER");
    all.arg("ADDSLOTS").arg((0..16_384).collect::<Vec<u32>>());
    all.exec(&mut secure.server.client()).unwrap();
    let url = secure.url().replace("rediss", "rediss+cluster");
    let guard = RateGuard::redis(url).tls(secure.tls()).deadline(PATIENCE).build().unwrap();
    // It needs a moment to find out that it is the whole cluster.
    let begun = Instant::now();
    while checked(&guard).await != Ok(8) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(checked(&guard).await, Ok(7));
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").query(&mut secure.server.client()).unwrap();
    let ours = clients.lines().filter(|line| line.contains(&format!(":{} ", secure.port)));
    assert!(ours.count() > 0, "{clients}");
}

#[tokio::test]
async fn a_server_or_a_client_that_nobody_has_signed_is_refused_without_a_panic() {
    let Some(secure) = Secure::start() else { return };
    let stranger = authority();
    let [certificate, key] = signed_by(&secure.authority);
    let [strange_certificate, strange_key] = signed_by(&stranger);
    let ours = || RedisTls::new().ca_certificates(secure.authority.pem());
    for tls in [
        // By the system's authorities.
        RedisTls::new().client_certificate(certificate.clone(), key.clone()),
        RedisTls::new().ca_certificates(stranger.pem()).client_certificate(certificate, key),
        ours(),
        ours().client_certificate(strange_certificate, strange_key),
    ] {
        let guard = RateGuard::redis(secure.url()).tls(tls).build().unwrap();
        for _ in 0..3 {
            assert!(checked(&guard).await.is_err());
        }
        assert!(!guard.health().is_good());
    }
}

#[test]
fn what_cannot_be_used_is_refused_when_the_guard_is_built() {
    let build = |url: &str, tls| RateGuard::redis(url).tls(tls).build().unwrap_err();
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
