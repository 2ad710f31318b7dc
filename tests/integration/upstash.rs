//! Upstash through its REST interface: as exact as Redis itself, and as quick as its connections.

use std::{sync::Arc, thread, time::Duration};

use futures_util::future::join_all;
use rateguard::{
    Algorithm, BuildError, Key, Policy, RateGuard, RedisTls, StoreError, UpstashError,
    test_util::{Time, conformance},
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    faults::block_a_worker,
    support::{
        PATIENCE,
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
async fn the_store_at_upstash_keeps_the_contract() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("conformance");
    let all = Algorithm::NAMES.map(|(algorithm, _)| algorithm);
    conformance(guard.store(), Time::Real, &all).await;
    // Nothing but the script, which was brought along once.
    let commands = rest.commands();
    assert_eq!(commands[..2], ["EVALSHA", "EVAL"]);
    assert!(commands[2..].iter().all(|command| command == "EVALSHA"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_over_rest_and_one_that_speaks_redis_are_one_limit() {
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
async fn a_server_that_has_forgotten_the_script_fails_no_check() {
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
fn a_worker_that_blocks_does_not_stall_the_checks_of_others() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    block_a_worker(rest.guard("blocked"));
}

#[tokio::test]
async fn a_check_that_is_dropped_takes_its_request_back() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("dropped");
    remaining(&guard).await.unwrap();
    rest.set(Fault::Hang);
    for round in 1..4 {
        let check = tokio::time::timeout(Duration::from_millis(100), remaining(&guard));
        assert!(check.await.is_err());
        // Long before its deadline.
        eventually("it is taken back", || (rest.given_up() == round).then_some(()));
    }
    rest.set(Fault::None);
    assert_eq!(remaining(&guard).await, Ok(998));
}

#[tokio::test]
async fn connections_are_used_again_and_are_no_more_than_sixty_four() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = rest.guard("many");
    for number in 0..100 {
        assert_eq!(remaining(&guard).await, Ok(999 - number));
    }
    assert_eq!(rest.connections(), 1);
    rest.set(Fault::Slow(Duration::from_millis(10)));
    let checks = join_all((0..500).map(|_| remaining(&guard))).await;
    assert!(checks.iter().all(Result::is_ok));
    let connections = rest.connections();
    assert!((2..=64).contains(&connections), "{connections}");
}

#[test]
fn a_dropped_guard_leaves_no_connection() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guards: Vec<_> = (0..5).map(|_| rest.guard("dropped")).collect();
    eventually("all are connected", || (rest.open() == 5).then_some(()));
    drop(guards);
    eventually("all are gone", || (rest.open() == 0).then_some(()));
}

/// A server that wants to see a certificate of the same authority as its own.
fn secure(redis: &RedisServer, authority: &Authority) -> RestServer {
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
async fn over_tls_a_server_is_used_that_our_authority_has_signed_and_no_other() {
    let redis = RedisServer::start();
    let (ours, stranger) = (authority(), authority());
    let rest = secure(&redis, &ours);
    let url = format!("https://127.0.0.1:{}", rest.port());
    let guard = |tls| RateGuard::upstash(&url, TOKEN).deadline(PATIENCE).tls(tls).build().unwrap();
    let known = |authority: &Authority| {
        let [certificate, key] = signed_by(authority);
        RedisTls::new().client_certificate(certificate, key)
    };

    let good = guard(known(&ours).ca_certificates(ours.pem()));
    assert_eq!(remaining(&good).await, Ok(999));
    assert_eq!(remaining(&good).await, Ok(998));
    for tls in [
        known(&ours).ca_certificates(stranger.pem()),
        known(&stranger).ca_certificates(ours.pem()),
        RedisTls::new().ca_certificates(ours.pem()),
    ] {
        let guard = guard(tls);
        for _ in 0..3 {
            assert!(remaining(&guard).await.is_err());
        }
        eventually("it is told", || (!guard.health().is_good()).then_some(()));
    }
    assert_eq!(remaining(&good).await, Ok(997));
}

#[test]
fn what_cannot_be_used_is_refused_when_the_guard_is_built() {
    let build =
        |url: &str, token: &str, tls| RateGuard::upstash(url, token).tls(tls).build().unwrap_err();
    let pem = "-----BEGIN CERTIFICATE-----\nsentinel\n-----END CERTIFICATE-----";
    let tls = RedisTls::new;
    for (url, token, tls, cause, legal) in [
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
        assert!(matches!(error, BuildError::Upstash(known) if known == cause), "{error}");
        assert!(error.to_string().contains(legal), "{error}");
        assert!(!format!("{error} {error:?}").contains("sentinel"));
    }
}

#[test]
fn a_guard_needs_no_runtime_to_be_built_or_dropped() {
    let redis = RedisServer::start();
    let rest = RestServer::start(&redis.url());
    let guard = thread::spawn(move || (rest.guard("nowhere"), rest)).join().unwrap();
    drop(guard);
}
