//! Tests the operator endpoints while Redis does not reply. Each endpoint that needs the store must return 503 within
//! one deadline.

use std::time::{Duration, Instant};

use actix_rateguard::{OnError, Policy, RateGuard, rate_limit};
use actix_web::{
    App, get,
    test::{TestRequest, init_service},
};
use serde_json::json;

use super::{endpoints, explain_json, parse_json, post};
use crate::support::{
    app::{from_client, get as send_get},
    redis_server::RedisServer,
};

#[get("/op-redis-down")]
#[rate_limit(rate = "3/minute", key = "ip", name = "op-redis-down")]
#[rate_limit(
    rate = "3/minute",
    key = "global",
    name = "op-redis-down-all",
    on_error = "closed",
    ban = "3/minute for 30s"
)]
async fn limited() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn hung_redis_is_explained_within_one_deadline() {
    let redis = RedisServer::start();
    // The explanation has one deadline for its two limits together. If each limit had its own deadline, the
    // explanation would take twice as long.
    let deadline = Duration::from_secs(3);
    let guard = redis.settings("op").deadline(deadline).build().unwrap();
    let app = init_service(App::new().service(endpoints(&guard)).service(limited)).await;
    guard.check(&Policy::new("x", "1/minute").unwrap(), &"x".into()).await.unwrap();
    redis.freeze();
    let request = from_client(1, TestRequest::get().uri("/op-redis-down"));
    let start = Instant::now();
    let explanation = explain_json(&guard, request, &["op-redis-down", "op-redis-down-all"]).await;
    let elapsed = start.elapsed();
    assert!(elapsed < deadline * 19 / 10, "{elapsed:?}");
    // The explanation must still contain everything for which it does not need the store.
    assert_eq!(explanation["client"]["address"], "192.0.2.1");
    let [open, closed] = ["op-redis-down", "op-redis-down-all"]
        .map(|name| super::explanation_of(&explanation, name));
    assert_eq!((&open["outcome"], &open["because"]), (&"unavailable".into(), &"timeout".into()));
    assert_eq!((&open["passes"], &closed["passes"]), (&true.into(), &false.into()));
    assert_eq!(explanation["passes"], false);

    let body = json!({"policy": "op-redis-down", "address": "192.0.2.1"});
    let response = post(&app, "explain", &body).await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = parse_json(&response);
    assert_eq!((&problem["status"], &problem["version"]), (&503.into(), &1.into()));
    let detail = problem["detail"].as_str().unwrap();
    // The guard may already have closed the connection to the server that does not reply.
    let causes = ["no reply within the deadline", "the connection was lost"];
    assert!(causes.iter().any(|cause| detail.contains(cause)), "{detail}");
    assert_eq!((&problem["policy"], &problem["passes"]), (&"op-redis-down".into(), &true.into()));
}

#[actix_web::test]
async fn dead_redis_fails_operations_but_not_health_or_inventory() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("op").deadline(Duration::from_secs(3)).build().unwrap();
    guard.check(&Policy::new("x", "1/minute").unwrap(), &"x".into()).await.unwrap();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    redis.kill();
    let selector = json!({"policy": "op-redis-down-all"});
    let mut ban = selector.clone();
    ban["for_seconds"] = 60.into();
    for (endpoint, body) in
        [("explain", &selector), ("reset", &selector), ("unban", &selector), ("ban", &ban)]
    {
        let response = post(&app, endpoint, body).await;
        assert_eq!(response.status, 503, "{endpoint}: {}", response.body);
        let problem = parse_json(&response);
        assert_eq!(problem["policy"], "op-redis-down-all");
        assert!(problem["detail"].as_str().unwrap().contains("rejected with 503"), "{problem}");
        // The response must not contain the address of the Redis server, nor the text of the error.
        assert!(!response.body.contains("127.0.0.1") && !response.body.contains("os error"));
    }
    let health = parse_json(&send_get(&app, 1, "/operator/health").await);
    assert_eq!(health["is_good"], false);
    assert!(health["cause"].is_string() && health["cause_text"].is_string(), "{health}");
    assert_eq!(send_get(&app, 1, "/operator/inventory").await.status, 200);
}

#[actix_web::test]
async fn explanation_of_the_local_fallback_has_is_local() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("op").on_error(OnError::Local).build().unwrap();
    redis.kill();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let body = json!({"policy": "op-redis-down", "address": "192.0.2.1"});
    let response = post(&app, "explain", &body).await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(parse_json(&response)["is_local"], true);
    drop::<RateGuard>(guard);
}
