//! Tests that an explanation does not change any count.

use std::collections::BTreeMap;

use actix_rateguard::{Policy, RateGuard, key, rate_limit, test_util};
use actix_web::{App, get, test::TestRequest, test::init_service};
use redis::Connection;
use serde_json::json;

use super::{endpoints, post_json};
use crate::support::{
    app::{from_client, get as send_get},
    redis_server::{RedisServer, run},
};

#[get("/op-explained")]
#[rate_limit(rate = "3/minute", key = "ip", name = "op-explained")]
#[rate_limit(rate = "9/minute token_bucket", key = "global", name = "op-explained-all")]
async fn limited() -> &'static str {
    "ok"
}

async fn explain_repeatedly(guard: &RateGuard) {
    let app = init_service(App::new().service(endpoints(guard))).await;
    for _ in 0..20 {
        let limits = ["op-explained", "op-explained-all"];
        let key = json!({"policy": "op-explained", "address": "192.0.2.1"});
        post_json(&app, "explain", &key).await;
        let request = from_client(1, TestRequest::get()).to_http_request();
        guard.explain_request(&request, &limits).await;
        let policy = Policy::new("op-explained", "3/minute").unwrap();
        guard.explain(&policy, &key::ip().key_of("192.0.2.1").unwrap()).await;
    }
}

#[actix_web::test]
async fn explanations_change_no_counts_in_memory() {
    let (guard, _clock) = test_util::guard();
    let app = app!(guard, limited);
    for expected in [2, 1, 0] {
        explain_repeatedly(&guard).await;
        assert_eq!(send_get(&app, 1, "/op-explained").await.numbers().unwrap()[1], expected);
    }
    explain_repeatedly(&guard).await;
    assert_eq!(send_get(&app, 1, "/op-explained").await.status, 429);
}

fn dump_all(client: &mut Connection) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = run(client, "KEYS *");
    let dump = |key: &String| redis::cmd("DUMP").arg(key).query(client).unwrap();
    let values: Vec<Vec<u8>> = keys.iter().map(dump).collect();
    keys.into_iter().zip(values).collect()
}

#[actix_web::test]
async fn explanations_change_no_counts_in_redis() {
    let redis = RedisServer::start();
    let guard = redis.guard("op");
    let mut client = redis.client();
    explain_repeatedly(&guard).await;
    assert_eq!(dump_all(&mut client), BTreeMap::new());
    let app = app!(guard, limited);
    for _ in 0..4 {
        send_get(&app, 1, "/op-explained").await;
        let before = dump_all(&mut client);
        assert_eq!(before.len(), 2);
        explain_repeatedly(&guard).await;
        assert_eq!(dump_all(&mut client), before);
    }
}
