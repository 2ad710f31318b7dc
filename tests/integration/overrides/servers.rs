//! Tests overrides by HTTP, with two servers on one Redis.

use std::time::Duration;

use actix_rateguard::{HeaderDialect, Key, Limit, Policy, RateGuard, RateLimit, operator};
use actix_web::{HttpRequest, web};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_server::{RedisServer, run},
    server::{Response, Server, get, post},
};

/// Starts two servers whose route has the limit 3/hour for each key in the query.
fn servers(redis: &RedisServer) -> [Server; 2] {
    [(); 2].map(|()| {
        let guard = guard(redis);
        Server::start(move |app| {
            let limit = Limit::policy("sales")
                .key(|request: &HttpRequest| Some(request.query_string().to_owned()));
            let endpoints = operator::endpoints(&guard).allow_if(|_: &HttpRequest| true);
            app.service(web::scope("/operator").service(endpoints)).service(
                web::scope("")
                    .wrap(RateLimit::new(&guard, limit))
                    .route("/", web::get().to(async || "ok")),
            );
        })
    })
}

fn guard(redis: &RedisServer) -> RateGuard {
    let settings = redis.settings_with_denial_cache("sales").deadline(TEST_TIMEOUT);
    let policy = Policy::new("sales", "3/hour").unwrap();
    let settings = settings.policy(policy).overrides(true).for_attributes(false);
    settings.headers([HeaderDialect::XRateLimit]).build().unwrap()
}

fn change(server: &Server, endpoint: &str, body: &Value) -> Value {
    let url = server.url(&format!("/operator/{endpoint}"));
    let response = post(&url, "application/json", &body.to_string());
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

fn set(server: &Server, key: &str, quotas: &str, for_seconds: u32) -> Value {
    let body = json!({"policy": "sales", "key": key, "quotas": quotas, "for_seconds": for_seconds});
    change(server, "set_override", &body)
}

fn remaining(response: &Response) -> u64 {
    response.number("x-ratelimit-remaining")
}

#[test]
fn override_of_one_server_applies_on_the_other_with_the_counts() {
    let redis = RedisServer::start();
    let [one, other] = &servers(&redis);
    let fetch = |server: &Server| get(&server.url("/?ann"));
    for units in [2, 1, 0] {
        assert_eq!(remaining(&fetch(one)), units);
    }
    assert_eq!([fetch(one).status, fetch(other).status], [429, 429]);

    set(one, "ann", "10/hour", 600);
    assert_eq!(remaining(&fetch(one)), 6);
    // Denials take no units, so the first admission on the other server has the next number.
    let response = eventually("the override applies on the other server", || {
        Some(fetch(other)).filter(|response| response.status == 200)
    });
    assert_eq!(remaining(&response), 5);
    // Another client has the numbers of the policy.
    assert_eq!(remaining(&get(&other.url("/?bob"))), 2);

    // A lower override applies to the units that were already used.
    set(other, "ann", "5/hour", 600);
    assert_eq!(fetch(other).status, 429);
    eventually("the lower override applies on the first server", || {
        (fetch(one).status == 429).then_some(())
    });

    set(one, "ann", "1000/hour", 600);
    assert_eq!(fetch(one).status, 200);
    let removed = change(other, "remove_override", &json!({"policy": "sales", "key": "ann"}));
    assert_eq!(removed["was_overridden"], true);
    assert_eq!(fetch(other).status, 429);
    eventually("the override ends on the first server", || {
        (fetch(one).status == 429).then_some(())
    });
}

#[test]
fn override_expires_on_every_server() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    let fetch = |server: &Server| get(&server.url("/?ann")).status;
    for _ in 0..3 {
        assert_eq!(fetch(&servers[0]), 200);
    }
    set(&servers[0], "ann", "1000000/hour", 1);
    for server in &servers {
        eventually("the override has ended", || (fetch(server) == 429).then_some(()));
        let listed = get(&server.url("/operator/overrides")).body;
        assert!(listed.contains("\"overrides\":[]"), "{listed}");
    }
    let mut client = redis.client();
    eventually("Redis has deleted the document", || {
        let exists: u32 = run(&mut client, "EXISTS sales:{overrides}");
        (exists == 0).then_some(())
    });
}

#[test]
fn check_needs_no_further_command_for_an_override() {
    let redis = RedisServer::start();
    let [server, _] = &servers(&redis);
    set(server, "ann", "1000/hour", 600);
    let mut client = redis.client();
    let calls = |client: &mut redis::Connection, command: &str| {
        let stats: String = run(client, "INFO commandstats");
        let line = stats.lines().find_map(|line| {
            line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(":calls=")
        });
        line.map_or(0, |line| line.split_once(',').unwrap().0.parse::<u64>().unwrap())
    };
    // The reads in the background are `EVAL` with one `HGET`, and checks are `EVALSHA`.
    let before = ["evalsha", "hset", "time"].map(|name| calls(&mut client, name));
    for _ in 0..50 {
        assert_eq!(get(&server.url("/?ann")).status, 200);
        assert!([200, 429].contains(&get(&server.url("/?bob")).status));
    }
    let [scripts, writes, times] = ["evalsha", "hset", "time"].map(|name| calls(&mut client, name));
    // The denial cache decides some checks of the second key.
    let scripts = scripts - before[0];
    assert!((53..=100).contains(&scripts), "{scripts} script calls for 100 checks");
    assert_eq!(writes, before[1]);
    // Each check, each heartbeat of the connections and each changed document reads the time once.
    assert!(times - before[2] >= scripts);
    let reads = calls(&mut client, "eval");
    eventually("the servers read the version in the background", || {
        (calls(&mut client, "eval") > reads + 2).then_some(())
    });
}

#[test]
fn redis_has_digests_and_an_expiry_but_no_keys() {
    let redis = RedisServer::start();
    let [server, _] = &servers(&redis);
    let set = set(server, "ann@example.com", "9/hour", 600);
    assert_eq!(set["quotas"][0]["text"], "9/hour");
    assert!(set["ends_after_seconds"].as_f64().is_some_and(|it| it == 600.0), "{set}");
    let mut client = redis.client();
    let text: String = run(&mut client, "HGET sales:{overrides} text");
    assert!(text.contains("9/hour") && !text.contains("example"), "{text}");
    let left: i64 = run(&mut client, "PTTL sales:{overrides}");
    assert!((500_000..=601_000).contains(&left), "{left}");
    // The end of a removed override stays the end of the document: a missing document means that Redis lost its data.
    change(server, "remove_override", &json!({"policy": "sales", "key": "ann@example.com"}));
    let text: String = run(&mut client, "HGET sales:{overrides} text");
    assert_eq!(text, "1");
    let left: i64 = run(&mut client, "PTTL sales:{overrides}");
    assert!(left > 400_000, "{left}");
}

#[tokio::test]
async fn parallel_changes_of_many_guards_all_succeed() {
    let redis = RedisServer::start();
    let guards: Vec<_> = (0..12).map(|_| guard(&redis)).collect();
    let policy = &Policy::new("sales", "3/hour").unwrap();
    let changes = guards.iter().enumerate().map(|(index, guard)| async move {
        for number in 0..10 {
            let key = Key::from_parts([index.to_string(), number.to_string()]);
            guard.set_override(policy, &key, "9/hour", Duration::from_secs(600)).await.unwrap();
        }
    });
    join_all(changes).await;
    eventually("each guard has all overrides", || {
        guards.iter().all(|guard| guard.overrides().len() == 120).then_some(())
    });
}
