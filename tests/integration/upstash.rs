//! Tests the Upstash store, which uses the REST interface of Upstash: exact limits, reuse of connections, cancelled
//! checks, and TLS.

use std::{sync::Arc, thread, time::Duration};

use actix_rateguard::{
    Algorithm, BuildError, Key, Policy, RateGuard, StoreError,
    builder::RedisTls,
    error::UpstashError,
    test_util::{Time, conformance},
};
use futures_util::future::join_all;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    faults::check_with_blocked_worker,
    support::{
        TEST_TIMEOUT,
        certificates::{Authority, authority, signed_by},
        eventually,
        http_server::Fault,
        redis_server::{RedisServer, free_port},
        rest_server::{RestServer, TOKEN},
    },
};

async fn remaining(guard: &RateGuard) -> Result<u32, StoreError> {
    let policy = Policy::new("p", "1000/hour").unwrap();
    guard.check(&policy, &Key::global()).await.map(|it| it.remaining()).map_err(|it| it.cause())
}

#[tokio::test]
async fn upstash_store_passes_conformance() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("conformance");
    // The guard must send the source of the script only once.
    for units in [999, 998] {
        assert_eq!(remaining(&guard).await, Ok(units));
    }
    assert_eq!(rest.commands(), ["EVALSHA", "EVAL", "EVALSHA"]);
    let all = Algorithm::NAMES.map(|(algorithm, _)| algorithm);
    conformance(guard.store(), Time::Real, &all).await;
    conformance(guard.store(), Time::Real, &[Algorithm::Concurrency, Algorithm::Calendar]).await;
    // The scripts of documents are short, so the guard sends their source each time.
    let is_script = |command: &String| ["EVALSHA", "EVAL"].contains(&&**command);
    assert!(rest.commands().iter().all(is_script));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_and_redis_guards_share_one_limit() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guards = [rest.guard("shared"), redis.guard("shared"), rest.guard("shared")];
    for (_, name) in Algorithm::NAMES {
        let policy = Policy::new(name, format!("100/365d {name}")).unwrap();
        let checks = (0..300).map(|number| {
            let (guard, policy) = (guards[number % 3].clone(), policy.clone());
            tokio::spawn(async move { guard.check(&policy, &Key::global()).await })
        });
        let decisions = join_all(checks).await;
        let admitted =
            decisions.into_iter().filter(|it| it.as_ref().unwrap().as_ref().unwrap().is_allowed());
        assert_eq!(admitted.count(), 100, "{name}");
    }
}

#[tokio::test]
async fn script_flush_fails_no_upstash_check() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("forgotten");
    for round in 1..4 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut redis.client()).unwrap();
        assert_eq!(remaining(&guard).await, Ok(1_000 - round));
    }
    assert_eq!(rest.commands(), ["EVALSHA", "EVAL"].repeat(3));
}

#[test]
fn blocked_worker_does_not_stall_other_checks() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    check_with_blocked_worker(rest.guard("blocked"));
}

#[tokio::test]
async fn dropped_check_cancels_its_http_request() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("dropped");
    remaining(&guard).await.unwrap();
    rest.set_fault(Fault::Hang);
    for round in 1..4 {
        let check = tokio::time::timeout(Duration::from_millis(100), remaining(&guard));
        assert!(check.await.is_err());
        // The guard must cancel the HTTP request long before its deadline.
        eventually("the request is cancelled", || (rest.aborted() == round).then_some(()));
    }
    rest.set_fault(Fault::None);
    assert_eq!(remaining(&guard).await, Ok(998));
}

#[tokio::test]
async fn connections_are_reused_and_capped_at_sixty_four() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("many");
    for number in 0..100 {
        assert_eq!(remaining(&guard).await, Ok(999 - number));
    }
    assert_eq!(rest.connections(), 1);
    rest.set_fault(Fault::Slow(Duration::from_millis(10)));
    let checks = join_all((0..500).map(|_| remaining(&guard))).await;
    assert!(checks.iter().all(Result::is_ok));
    let connections = rest.connections();
    assert!((2..=64).contains(&connections), "{connections}");
}

#[test]
fn dropped_guard_closes_its_connections() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guards: Vec<_> = (0..5).map(|_| rest.guard("dropped")).collect();
    eventually("all guards are connected", || (rest.open() == 5).then_some(()));
    drop(guards);
    eventually("all connections are closed", || (rest.open() == 0).then_some(()));
}

/// Starts a TLS server that requires client certificates. The same authority signs these certificates and the
/// certificate of the server.
fn start_tls_server(redis: &RedisServer, authority: &Authority) -> RestServer {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read(&authority.pem())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let [certificate, key] = signed_by(authority);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![read(&certificate)],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    RestServer::start_at(free_port(), Some(config.unwrap()), &redis.url())
}

#[tokio::test]
async fn upstash_tls_accepts_only_trusted_certificates() {
    let redis = RedisServer::start();
    let (trusted, untrusted) = (authority(), authority());
    let rest = start_tls_server(&redis, &trusted);
    let url = format!("https://127.0.0.1:{}", rest.port());
    let guard = |tls| {
        RateGuard::upstash(&url, TOKEN)
            .prefix("test")
            .deadline(TEST_TIMEOUT)
            .tls(tls)
            .build()
            .unwrap()
    };
    let tls_with_certificate_of = |authority: &Authority| {
        let [certificate, key] = signed_by(authority);
        RedisTls::new().client_certificate(certificate, key)
    };

    let good = guard(tls_with_certificate_of(&trusted).ca_certificates(trusted.pem()));
    assert_eq!(remaining(&good).await, Ok(999));
    assert_eq!(remaining(&good).await, Ok(998));
    for tls in [
        tls_with_certificate_of(&trusted).ca_certificates(untrusted.pem()),
        tls_with_certificate_of(&untrusted).ca_certificates(trusted.pem()),
        RedisTls::new().ca_certificates(trusted.pem()),
    ] {
        let guard = guard(tls);
        for _ in 0..3 {
            assert!(remaining(&guard).await.is_err());
        }
        eventually("the guard is unhealthy", || (!guard.health().is_good()).then_some(()));
    }
    assert_eq!(remaining(&good).await, Ok(997));
}

#[test]
fn invalid_upstash_settings_are_build_errors() {
    let build = |url: &str, token: &str, tls| {
        RateGuard::upstash(url, token).prefix("test").tls(tls).build().unwrap_err()
    };
    let pem = "-----BEGIN CERTIFICATE-----\nsentinel\n-----END CERTIFICATE-----";
    let tls = RedisTls::new;
    for (url, token, tls, cause, hint) in [
        ("http://sentinel.upstash.io", TOKEN, tls(), UpstashError::Plain, "127.0.0.1"),
        ("rediss://sentinel.upstash.io", TOKEN, tls(), UpstashError::Scheme, "https://"),
        ("https://sentinel.upstash.io/get", TOKEN, tls(), UpstashError::Malformed, "host:port"),
        ("https://sentinel.upstash.io", "", tls(), UpstashError::Token, "visible ASCII"),
        ("https://sentinel.upstash.io", "sentinel\n", tls(), UpstashError::Token, "visible ASCII"),
        (
            "https://sentinel.upstash.io",
            TOKEN,
            tls().ca_certificates(pem),
            UpstashError::Certificates,
            "PEM",
        ),
    ] {
        let error = build(url, token, tls);
        assert!(matches!(error, BuildError::Upstash(error) if error == cause), "{error}");
        assert!(error.to_string().contains(hint), "{error}");
        assert!(!format!("{error} {error:?}").contains("sentinel"));
    }
}

#[test]
fn upstash_guard_builds_and_drops_without_a_runtime() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = thread::spawn(move || (rest.guard("no-runtime"), rest)).join().unwrap();
    drop(guard);
}
