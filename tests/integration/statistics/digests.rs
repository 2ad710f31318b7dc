//! Tests that an operator selects a key by the digest in the statistics.

use actix_rateguard::{
    Key, Policy, RateGuard, RateGuardBuilder, Statistics, builder::StoreConfig, operator,
};
use actix_web::web;
use serde_json::{Value, json};

use super::{TOKEN, fetch, fleet_until, policy, post};
use crate::support::{TEST_TIMEOUT, eventually, redis_server::RedisServer, server::Server};

const NAME: &str = "statistics-digest";

fn guard<S: StoreConfig>(builder: RateGuardBuilder<S>) -> RateGuard {
    let policy = Policy::new(NAME, "2/hour").unwrap().ban("100/minute for 1h").unwrap();
    let builder = builder.for_attributes(false).overrides(true).policy(policy);
    builder.statistics(Statistics::new()).build().unwrap()
}

fn server(guard: &RateGuard) -> Server {
    let guard = guard.clone();
    Server::start(move |app| {
        let endpoints = operator::endpoints(&guard).allow_token(TOKEN);
        app.service(web::scope("/operator").service(endpoints));
    })
}

fn parse(response: &crate::support::server::Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

/// Denies a key, and then selects it by its digest in each endpoint.
async fn test(guard: RateGuard) {
    let server = server(&guard);
    let (limit, key) = (guard.policy(NAME).unwrap(), Key::from("ann"));
    for expected in [true, true, false] {
        let decision = guard.check(&limit, &key).await.unwrap();
        assert_eq!(decision.is_allowed(), expected);
    }
    let statistics = guard.statistics().await.unwrap();
    let denied = statistics.denied_keys.first().expect("the denied key");
    assert_eq!(denied.key, None);
    let selector = json!({"policy": NAME, "key_digest": denied.key_digest});
    let with = |fields: Value| {
        let mut body = selector.clone();
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let explained = parse(&post(&server, "explain", &selector));
    assert_eq!((&explained["passes"], &explained["by"]), (&false.into(), &"key_digest".into()));
    assert_eq!(explained["key_digest"], *denied.key_digest);

    let quotas = with(json!({"quotas": "9/hour", "for_seconds": 60}));
    parse(&post(&server, "set_override", &quotas));
    assert_eq!(guard.check(&limit, &key).await.unwrap().limit(), 9);
    let removed = parse(&post(&server, "remove_override", &selector));
    assert_eq!(removed["was_overridden"], true);

    parse(&post(&server, "reset", &selector));
    assert_eq!(guard.check(&limit, &key).await.unwrap().remaining(), 1);
    parse(&post(&server, "ban", &with(json!({"for_seconds": 60}))));
    assert!(guard.check(&limit, &key).await.unwrap().banned_for().is_some());
    parse(&post(&server, "unban", &selector));
    assert!(guard.check(&limit, &key).await.unwrap().is_allowed());
    eventually("the statistics have the check of the banned key", || {
        (policy(&fetch(&server, "statistics"), NAME)["totals"]["banned"] == 1).then_some(())
    });

    for fields in [json!({"key": "ann"}), json!({"address": "192.0.2.1"}), json!({"by": "value"})] {
        assert_eq!(post(&server, "reset", &with(fields)).status, 400);
    }
    for digest in ["", "0123", &"g".repeat(32), &"+1".repeat(16)] {
        let body = json!({"policy": NAME, "key_digest": digest});
        assert_eq!(post(&server, "reset", &body).status, 400, "{digest}");
    }
}

#[tokio::test]
async fn digest_selects_a_key_in_memory() {
    let guard = guard(RateGuard::builder());
    test(guard.clone()).await;
    let unknown = json!({"policy": NAME, "key_digest": "0".repeat(32)});
    assert_eq!(post(&server(&guard), "reset", &unknown).status, 404);
}

#[tokio::test]
async fn digest_selects_a_key_that_was_hashed_with_a_secret() {
    test(guard(RateGuard::builder().key_secret("sixteen bytes..."))).await;
    let redis = RedisServer::start();
    let builder = redis.settings("digests").deadline(TEST_TIMEOUT);
    test(guard(builder.key_secret("sixteen bytes..."))).await;
}

#[tokio::test]
async fn digest_selects_a_key_on_another_server() {
    let redis = RedisServer::start();
    let settings = || redis.settings("digests").deadline(TEST_TIMEOUT);
    let (one, other) = (guard(settings()), guard(settings()));
    test(one.clone()).await;
    let (limit, key) = (one.policy(NAME).unwrap(), Key::from("bob"));
    while one.check(&limit, &key).await.unwrap().is_allowed() {}
    // The statistics that were read last do not have the new key.
    let statistics = fleet_until(&one, |it| it.denied_keys.len() == 2).await;
    let mut digests = statistics.denied_keys.iter().map(|it| it.key_digest.clone());
    let server = server(&other);
    let reset = digests.all(|digest| {
        post(&server, "reset", &json!({"policy": NAME, "key_digest": digest})).status == 200
    });
    assert!(reset);
    assert!(one.check(&limit, &key).await.unwrap().is_allowed());
}
