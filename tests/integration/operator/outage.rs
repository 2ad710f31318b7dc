//! When the store does not answer, that is what operators are told, and soon.

use std::time::{Duration, Instant};

use actix_web::{App, get, test::init_service};
use rateguard::{OnError, Policy, RateGuard, rate_limit};
use serde_json::json;

use super::{endpoints, parsed, post};
use crate::support::{app::get as ask, redis_server::RedisServer};

#[get("/op-outage")]
#[rate_limit(rate = "3/minute", key = "ip", name = "op-outage")]
#[rate_limit(
    rate = "3/minute",
    key = "global",
    name = "op-outage-all",
    on_error = "closed",
    ban = "3/minute for 30s"
)]
async fn limited() -> &'static str {
    "ok"
}

#[actix_web::test]
async fn a_redis_that_hangs_is_a_503_within_one_deadline_for_all_limits() {
    let redis = RedisServer::start();
    // Of a deadline for each limit there would be twice as much.
    let deadline = Duration::from_secs(3);
    let guard = redis.settings("op").deadline(deadline).build().unwrap();
    let app = init_service(App::new().service(endpoints(&guard)).service(limited)).await;
    guard.check(&Policy::new("x", "1/minute").unwrap(), &"x".into()).await.unwrap();
    redis.freeze();
    let request = json!({"path": "/op-outage", "peer": "192.0.2.1"});
    let body = json!({"request": request, "limits": ["op-outage", "op-outage-all"]});
    let start = Instant::now();
    let answer = post(&app, "explain", &body).await;
    let took = start.elapsed();
    assert!(took < deadline * 19 / 10, "{took:?}");
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = parsed(&answer);
    assert_eq!((&problem["status"], &problem["version"]), (&503.into(), &1.into()));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("no answer within the deadline"), "{detail}");
    // What is known nevertheless.
    assert_eq!(problem["client"]["address"], "192.0.2.1");
    let [of, of_all] = ["op-outage", "op-outage-all"].map(|name| super::of_limit(&problem, name));
    assert_eq!((&of["outcome"], &of["because"]), (&"unavailable".into(), &"timeout".into()));
    assert_eq!((&of["passes"], &of_all["passes"]), (&true.into(), &false.into()));
    assert_eq!(problem["passes"], false);
}

#[actix_web::test]
async fn with_redis_dead_every_verb_says_so_and_the_rest_answers() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("op").deadline(Duration::from_secs(3)).build().unwrap();
    guard.check(&Policy::new("x", "1/minute").unwrap(), &"x".into()).await.unwrap();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    redis.kill();
    let all = json!({"policy": "op-outage-all"});
    let mut ban = all.clone();
    ban["for_seconds"] = 60.into();
    for (endpoint, body) in [("explain", &all), ("reset", &all), ("unban", &all), ("ban", &ban)] {
        let answer = post(&app, endpoint, body).await;
        assert_eq!(answer.status, 503, "{endpoint}: {}", answer.body);
        let problem = parsed(&answer);
        assert_eq!(problem["policy"], "op-outage-all");
        assert!(problem["detail"].as_str().unwrap().contains("refused with 503"), "{problem}");
        // Nothing of the server's address or text.
        assert!(!answer.body.contains("127.0.0.1") && !answer.body.contains("os error"));
    }
    let health = parsed(&ask(&app, 1, "/operator/health").await);
    assert_eq!(health["is_good"], false);
    assert!(health["cause"].is_string() && health["cause_text"].is_string(), "{health}");
    assert_eq!(ask(&app, 1, "/operator/inventory").await.status, 200);
}

#[actix_web::test]
async fn what_is_decided_in_memory_meanwhile_is_told_as_such() {
    let mut redis = RedisServer::start();
    let guard = redis.settings("op").on_error(OnError::Local).build().unwrap();
    redis.kill();
    let app = init_service(App::new().service(endpoints(&guard))).await;
    let body = json!({"policy": "op-outage", "address": "192.0.2.1"});
    let answer = post(&app, "explain", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(parsed(&answer)["is_local"], true);
    drop::<RateGuard>(guard);
}
