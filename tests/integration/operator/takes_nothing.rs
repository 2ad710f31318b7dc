//! Whoever looks takes nothing.

use std::collections::BTreeMap;

use actix_web::{App, get, test::TestRequest, test::init_service};
use rateguard::{Policy, RateGuard, key, rate_limit, test_util};
use redis::Connection;
use serde_json::json;

use super::{endpoints, told};
use crate::support::{
    app::{from_client, get as ask},
    redis_server::{RedisServer, run},
};

#[get("/op-looked")]
#[rate_limit(rate = "3/minute", key = "ip", name = "op-looked")]
#[rate_limit(rate = "9/minute token_bucket", key = "global", name = "op-looked-all")]
async fn looked_at() -> &'static str {
    "ok"
}

async fn look(guard: &RateGuard) {
    let app = init_service(App::new().service(endpoints(guard))).await;
    for _ in 0..20 {
        let limits = ["op-looked", "op-looked-all"];
        let request = json!({"path": "/op-looked", "peer": "192.0.2.1"});
        told(&app, "explain", &json!({"request": request, "limits": limits})).await;
        let key = json!({"policy": "op-looked", "address": "192.0.2.1"});
        told(&app, "explain", &key).await;
        let request = from_client(1, TestRequest::get()).to_http_request();
        guard.explain_request(&request, &limits).await;
        let policy = Policy::new("op-looked", "3/minute").unwrap();
        guard.explain(&policy, &key::ip().key_of("192.0.2.1").unwrap()).await;
    }
}

#[actix_web::test]
async fn what_is_counted_in_memory_is_as_before() {
    let (guard, _clock) = test_util::guard();
    let app = app!(guard, looked_at);
    for expected in [2, 1, 0] {
        look(&guard).await;
        assert_eq!(ask(&app, 1, "/op-looked").await.numbers().unwrap()[1], expected);
    }
    look(&guard).await;
    assert_eq!(ask(&app, 1, "/op-looked").await.status, 429);
}

fn everything(client: &mut Connection) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = run(client, "KEYS *");
    let dump = |key: &String| redis::cmd("DUMP").arg(key).query(client).unwrap();
    let values: Vec<Vec<u8>> = keys.iter().map(dump).collect();
    keys.into_iter().zip(values).collect()
}

#[actix_web::test]
async fn what_is_counted_in_redis_is_as_before() {
    let redis = RedisServer::start();
    let guard = redis.guard("op");
    let mut client = redis.client();
    look(&guard).await;
    assert_eq!(everything(&mut client), BTreeMap::new());
    let app = app!(guard, looked_at);
    for _ in 0..4 {
        ask(&app, 1, "/op-looked").await;
        let before = everything(&mut client);
        assert_eq!(before.len(), 2);
        look(&guard).await;
        assert_eq!(everything(&mut client), before);
    }
}
