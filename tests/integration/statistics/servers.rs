//! Tests the statistics by HTTP, with two servers on one Redis.

use std::thread;

use actix_rateguard::{Key, Limit, Policy, RateGuard, RateLimit, Statistics, operator};
use actix_web::{HttpRequest, web};
use redis::Commands;
use serde_json::Value;

use super::{TOKEN, fetch, policy, sum};
use crate::support::{
    TEST_TIMEOUT, eventually, eventually_async,
    redis_server::RedisServer,
    server::{Server, agent, get, try_get},
};

const NAME: &str = "statistics-servers";
const LIMIT: u64 = 40;

fn server(redis: &RedisServer, name: &str, has_readable_keys: bool) -> Server {
    let statistics = Statistics::new().process_name(name).readable_keys(has_readable_keys);
    let settings = redis.settings_with_denial_cache("statistics").deadline(TEST_TIMEOUT);
    let guard: RateGuard = settings.for_attributes(false).statistics(statistics).build().unwrap();
    Server::start(move |app| {
        let key = |request: &HttpRequest| Some(request.query_string().to_owned());
        let limit = Limit::new(format!("{LIMIT}/hour").as_str()).name(NAME).key(key);
        let endpoints = operator::endpoints(&guard).allow_token(TOKEN);
        app.service(web::scope("/operator").service(endpoints)).service(
            web::scope("")
                .wrap(RateLimit::new(&guard, limit))
                .route("/", web::get().to(async || "ok")),
        );
    })
}

/// Waits until the statistics of the fleet have this number of checks of the policy.
fn wait_for(server: &Server, checks: u64) -> Value {
    eventually("the statistics have all checks", || {
        let statistics = fetch(server, "statistics");
        let counts =
            statistics["policies"].as_array().unwrap().iter().find(|it| it["name"] == NAME)?;
        let totals = &counts["totals"];
        let number = totals["allowed"].as_u64().unwrap() + totals["denied"].as_u64().unwrap();
        assert!(number <= checks, "{number} of {checks}");
        (number == checks && statistics["scope"] == "fleet").then_some(statistics)
    })
}

#[test]
fn concurrent_checks_of_two_servers_are_counted_exactly() {
    let redis = RedisServer::start();
    let servers = ["web-1", "web-2"].map(|name| server(&redis, name, true));
    let requests = 120;
    thread::scope(|scope| {
        for server in &servers {
            for _ in 0..2 {
                scope.spawn(|| {
                    let agent = agent();
                    for _ in 0..requests {
                        try_get(&agent, &server.url("/?ann%0a")).unwrap();
                    }
                });
            }
        }
    });
    assert_eq!(get(&servers[1].url("/?bob")).status, 200);
    let denials = 4 * requests - LIMIT;
    for server in &servers {
        let statistics = wait_for(server, 4 * requests + 1);
        let it = policy(&statistics, NAME);
        assert_eq!(it["totals"]["allowed"], LIMIT + 1);
        assert_eq!(
            (sum(&it["history"]["allowed"]), sum(&it["history"]["denied"])),
            (LIMIT + 1, denials)
        );
        // The report of another process can be a second old.
        let statistics = eventually("the reports are up to date", || {
            let statistics = fetch(server, "statistics");
            (statistics["denied_keys"][0]["denials"] == denials).then_some(statistics)
        });
        let denied = statistics["denied_keys"].as_array().unwrap();
        assert_eq!((denied.len(), &denied[0]["key"]), (1, &"ann%0a".into()));
        let names: Vec<_> =
            statistics["processes"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.contains(&&"web-1".into()) && names.contains(&&"web-2".into()));
    }
}

#[test]
fn text_of_keys_is_in_no_response_and_not_in_redis_without_the_setting() {
    let redis = RedisServer::start();
    let servers = [false, true].map(|readable| server(&redis, "web", readable));
    let secret = "Zx9-statistics-7Qw";
    for _ in 0..=LIMIT {
        get(&servers[0].url(&format!("/?{secret}")));
    }
    for server in &servers {
        let statistics = wait_for(server, LIMIT + 1);
        assert_eq!(statistics["denied_keys"][0]["key"], Value::Null);
        assert!(!statistics.to_string().contains(secret));
    }
    let mut client = redis.client();
    let keys: Vec<String> = client.keys("statistics:{statistics}:*").unwrap();
    assert!(keys.len() >= 3, "{keys:?}");
    for key in keys {
        let left: i64 = redis::cmd("TTL").arg(&key).query(&mut client).unwrap();
        let is_short = [":processes", ":reported"].iter().any(|end| key.ends_with(end));
        let expected = if is_short { 1..=60 } else { 3_000..=3_700 };
        assert!(expected.contains(&left), "{key}: {left}");
        let kind: String = redis::cmd("TYPE").arg(&key).query(&mut client).unwrap();
        let text = match &*kind {
            "hash" => format!("{:?}", client.hgetall::<_, Vec<String>>(&key).unwrap()),
            _ => client.get(&key).unwrap(),
        };
        assert!(!text.contains(secret), "{key}");
    }
}

#[tokio::test]
async fn duration_of_store_calls_is_reported() {
    let redis = RedisServer::start();
    let settings = redis.settings("statistics").deadline(TEST_TIMEOUT).for_attributes(false);
    let guard = settings.statistics(Statistics::new()).build().unwrap();
    let policy = Policy::new(NAME, "1000000/hour").unwrap();
    let store = eventually_async("the last seconds have store calls", async || {
        guard.check(&policy, &Key::global()).await.unwrap();
        let statistics = guard.statistics().await.unwrap();
        let store = statistics.processes[0].store.clone();
        store.p50.is_some().then_some(store)
    });
    let store = store.await;
    assert!(store.calls_per_second > 0.0 && store.p50 <= store.p99, "{store:?}");
}
