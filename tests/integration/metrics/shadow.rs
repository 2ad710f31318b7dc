//! Tests the metrics of shadow limits and candidates. A shadow limit denies no request, and a candidate is a list of
//! new quotas that a policy tests in shadow mode. The metrics report how many requests they would allow and deny.

use std::{collections::BTreeMap, time::Instant};

use actix_rateguard::{Limit, Policy, RateGuard, RateLimit, rate_limit};
use actix_web::{Responder, get, test::TestRequest, web};

use super::{Recorder, expected};
use crate::support::{
    TEST_TIMEOUT,
    app::{from_client, get, send, statuses},
    redis_server::RedisServer,
};

#[get("/search")]
#[rate_limit(rate = "10/365d", candidate = "8/365d", key = "ip", name = "metrics-search")]
async fn search() -> impl Responder {
    "ok"
}

#[get("/upload")]
#[rate_limit(rate = "2/365d", shadow = true, key = "ip", name = "upload")]
async fn upload() -> impl Responder {
    "ok"
}

#[get("/items")]
#[rate_limit(
    rate = "10/365d",
    candidate = "8/365d",
    rollout = 50,
    key = "header:X-User",
    name = "items"
)]
async fn items() -> impl Responder {
    "ok"
}

/// Runs an action twice: with a guard on the memory store, and with a guard on Redis. Each time, the action has a new
/// recorder.
fn for_each_store(action: impl AsyncFn(&Recorder, RateGuard)) {
    let server = RedisServer::start();
    Recorder::record(async |recorder| action(recorder, RateGuard::in_memory()).await);
    Recorder::record(async |recorder| {
        let guard = server.settings("shadow").deadline(TEST_TIMEOUT).build().unwrap();
        action(recorder, guard).await;
    });
}

/// Waits until the metrics contain this number of decisions. The test must wait because an HTTP request does not wait
/// for shadow checks.
async fn wait_for_decisions(recorder: &Recorder, decisions: u64) -> BTreeMap<[String; 4], u64> {
    let started = Instant::now();
    loop {
        let counted = recorder.decisions();
        if counted.values().sum::<u64>() >= decisions || started.elapsed() > TEST_TIMEOUT {
            return counted;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn candidate_denials_are_counted_while_requests_are_allowed() {
    for_each_store(async |recorder, guard| {
        let limit =
            RateLimit::new(&guard, Limit::new("10/365d").candidate("8/365d").name("wrapped"));
        let wrapped = web::resource("/wrapped").wrap(limit).route(web::get().to(async || "ok"));
        let app = app!(guard, search, wrapped);
        for client in 1..=20 {
            assert_eq!(statuses(&app, client, "/search", 10).await, [200; 10]);
            assert_eq!(statuses(&app, client, "/wrapped", 10).await, [200; 10]);
        }
        // Each request is counted twice: once for the enforced quota, and once for the candidate.
        let counted = expected([
            ("metrics-search|10/365 days|allowed|store", 200),
            ("metrics-search|8/365 days|allowed|shadow", 160),
            ("metrics-search|8/365 days|denied|shadow", 40),
            ("wrapped|10/365 days|allowed|store", 200),
            ("wrapped|8/365 days|allowed|shadow", 160),
            ("wrapped|8/365 days|denied|shadow", 40),
        ]);
        assert_eq!(wait_for_decisions(recorder, 800).await, counted);
        // A denied request is also counted twice: for the enforced quota, and for the candidate.
        assert_eq!(get(&app, 1, "/search").await.status, 429);
        let counted = wait_for_decisions(recorder, 802).await;
        let count = |text: &str| counted[expected([(text, 0)]).keys().next().unwrap()];
        assert_eq!(
            [
                count("metrics-search|10/365 days|denied|store"),
                count("metrics-search|8/365 days|denied|shadow")
            ],
            [1, 41]
        );
        assert_eq!(counted.values().sum::<u64>(), 802);
    });
}

#[test]
fn candidate_quota_gauge_is_exported_before_first_use() {
    Recorder::record(async |recorder| {
        let policy = Policy::new("registered", "10/365d").unwrap().candidate("8/365d").unwrap();
        let guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
        guard.update_gauges();
        for (quota, limit) in [("10/365 days", 10.0), ("8/365 days", 8.0)] {
            let labels = [("policy", "registered"), ("quota", quota)];
            assert_eq!(recorder.gauge("rateguard_quota_limit", &labels), Some(limit));
        }
    });
}

#[test]
fn shadow_policy_decisions_are_counted_only_as_shadow() {
    for_each_store(async |recorder, guard| {
        let limit = RateLimit::new(&guard, Limit::new("2/365d").name("wrapped").shadow());
        let wrapped = web::resource("/wrapped").wrap(limit).route(web::get().to(async || "ok"));
        let app = app!(guard, upload, wrapped);
        for client in 1..=3 {
            assert_eq!(statuses(&app, client, "/upload", 5).await, [200; 5]);
            assert_eq!(statuses(&app, client, "/wrapped", 5).await, [200; 5]);
        }
        let counted = expected([
            ("upload|2/365 days|allowed|shadow", 6),
            ("upload|2/365 days|denied|shadow", 9),
            ("wrapped|2/365 days|allowed|shadow", 6),
            ("wrapped|2/365 days|denied|shadow", 9),
        ]);
        assert_eq!(wait_for_decisions(recorder, 30).await, counted);
    });
}

#[test]
fn rollout_counts_enforced_and_shadow_sides_separately() {
    for_each_store(async |recorder, guard| {
        const KEYS: u64 = 40;
        let app = app!(guard, items);
        let mut rolled_out = 0;
        for key in 0..KEYS {
            let request = async || {
                let request = TestRequest::get().uri("/items").insert_header(("X-User", key));
                let response = send(&app, from_client(1, request)).await;
                (response.status, response.numbers().unwrap()[0])
            };
            let (_, limit) = request().await;
            rolled_out += u64::from(limit == 8);
            for number in 1..10 {
                let status = if number < limit { 200 } else { 429 };
                assert_eq!(request().await, (status, limit));
            }
        }
        assert!((1..KEYS).contains(&rolled_out), "{rolled_out}");
        let others = KEYS - rolled_out;
        let counted = expected([
            ("items|8/365 days|allowed|store", 8 * rolled_out),
            ("items|8/365 days|denied|store", 2 * rolled_out),
            ("items|10/365 days|allowed|shadow", 10 * rolled_out),
            ("items|10/365 days|allowed|store", 10 * others),
            ("items|8/365 days|allowed|shadow", 8 * others),
            ("items|8/365 days|denied|shadow", 2 * others),
        ]);
        assert_eq!(wait_for_decisions(recorder, 20 * KEYS).await, counted);
    });
}
