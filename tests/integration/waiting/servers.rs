//! Tests waiting requests of two servers with a common Redis.

use std::{
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Limit, Policy, RateLimit, rate_limit};
use actix_web::{get as route, web};
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::support::{
    TEST_TIMEOUT,
    app::{attribute_guard, set_attribute_guard},
    redis_server::RedisServer,
    server::{Server, get},
};

#[route("/attribute")]
#[rate_limit(rate = "5/500ms", key = "global", wait = "50s", name = "wait-servers", limiter = attribute_guard())]
async fn attribute(result: actix_rateguard::CheckResult) -> String {
    result.waited().as_millis().to_string()
}

/// Starts two servers. Their limits have the same name, so they share their counts.
fn servers(redis: &RedisServer) -> [Server; 2] {
    [(); 2].map(|()| {
        let guard = redis.guard("waiting");
        Server::start(move |app| {
            set_attribute_guard(&guard);
            let guard = guard.clone();
            let limit = |rate: &'static str| Limit::new(rate).key("global").wait("50s");
            let middleware = RateLimit::new(&guard, limit("5/500ms").name("wait-middleware"));
            let permits = RateLimit::new(&guard, limit("2 concurrent").name("wait-permits"));
            let rare = RateLimit::new(&guard, limit("1/hour").name("wait-rare"));
            let slow = async || {
                actix_web::rt::time::sleep(Duration::from_millis(20)).await;
                "done"
            };
            let ok = || web::get().to(async || "ok");
            app.app_data(guard)
                .service(attribute)
                .service(web::resource("/middleware").wrap(middleware).route(ok()))
                .service(web::resource("/permits").wrap(permits).route(web::get().to(slow)))
                .service(web::resource("/rare").wrap(rare).route(ok()));
        })
    })
}

#[test]
fn servers_admit_all_waiting_requests_within_the_limit() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    for path in ["/attribute", "/middleware"] {
        let start = Instant::now();
        thread::scope(|scope| {
            let requests: Vec<_> = (0..20)
                .map(|number| {
                    let url = servers[number % 2].url(path);
                    scope.spawn(move || get(&url).status)
                })
                .collect();
            for request in requests {
                assert_eq!(request.join().unwrap(), 200, "{path}");
            }
        });
        // Redis admits 5 requests in each window of 500 ms, so 20 requests need four windows.
        assert!(start.elapsed() >= Duration::from_millis(1_500), "{path}: {:?}", start.elapsed());
    }
}

#[test]
fn servers_hold_no_more_permits_than_the_limit() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    thread::scope(|scope| {
        for number in 0..10 {
            let url = servers[number % 2].url("/permits");
            scope.spawn(move || assert_eq!(get(&url).status, 200));
        }
    });
}

#[test]
fn wait_beyond_the_maximum_is_denied_by_every_server() {
    let redis = RedisServer::start();
    let servers = servers(&redis);
    assert_eq!(get(&servers[0].url("/rare")).status, 200);
    for server in &servers {
        let denial = get(&server.url("/rare"));
        assert_eq!(denial.status, 429);
        assert!(denial.number("retry-after") > 3_000);
    }
}

#[tokio::test]
async fn requests_of_a_burst_whose_turn_is_too_late_are_denied_immediately() {
    let redis = RedisServer::start();
    let guard = redis.settings("burst").deadline(TEST_TIMEOUT).build().unwrap();
    let (policy, key) = (Policy::new("burst", "5/20s").unwrap(), Key::global());
    let request = guard.request(&policy, &key);
    // All checks are sent before the first reply, so no request finds a queue.
    let burst = (0..30).map(|_| request.reserve_within_waits([Duration::from_secs(55)]));
    let mut burst: FuturesUnordered<_> = burst.collect();
    let mut admitted = 0;
    for _ in 0..20 {
        let reservation = burst.next().await.unwrap().unwrap();
        match reservation.decision().retry_after() {
            None => admitted += 1,
            Some(turn) => assert!(turn > Duration::from_secs(40), "{turn:?}"),
        }
    }
    assert_eq!((admitted, burst.len()), (5, 10), "ten requests wait");
}
