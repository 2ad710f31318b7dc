//! Redis over TLS: a real server with certificates of the test's own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use rateguard::{BuildError, Key, Policy, RateGuard, RedisTls, RedisUrlError, StoreError};

use crate::support::{
    PATIENCE,
    certificates::{Authority, authority, signed_by},
    redis_server::{RedisServer, free_port},
};

/// A server that speaks TLS and wants to see a certificate.
struct Secure {
    _server: RedisServer,
    port: u16,
    authority: Authority,
    folder: PathBuf,
}

impl Secure {
    /// `None` if this build of the server has no TLS, as those from PyPI do.
    fn start() -> Option<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        if !has_tls() {
            return None;
        }
        let number = STARTED.fetch_add(1, SeqCst);
        let folder = env::temp_dir().join(format!("rateguard-tls-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let authority = authority();
        let [certificate, key] = signed_by(&authority);
        let write = |name: &str, pem: &str| {
            let path = folder.join(name);
            fs::write(&path, pem).unwrap();
            path_text(&path)
        };
        let (ca, certificate, key) = (
            write("ca.pem", &authority.pem()),
            write("server.pem", &certificate),
            write("server.key", &key),
        );
        let port = free_port();
        let server = RedisServer::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "yes",
        ]);
        Some(Self { _server: server, port, authority, folder })
    }

    fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.port)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn has_tls() -> bool {
    let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    // None goes on without a certificate, but only those that have TLS ask for one.
    let output = Command::new(program)
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
    let [certificate, key] = signed_by(&secure.authority);
    let tls = RedisTls::new()
        .ca_certificates(secure.authority.pem())
        .client_certificate(certificate, key);
    let guard = RateGuard::redis(secure.url()).tls(tls).deadline(PATIENCE).build().unwrap();
    assert_eq!(checked(&guard).await, Ok(8));
    assert_eq!(checked(&guard).await, Ok(7));
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
