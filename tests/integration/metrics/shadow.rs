//! Limits that are tried: what they would have denied, before they deny it.

use std::{collections::BTreeMap, time::Instant};

use actix_web::{Responder, get, test::TestRequest, web};
use rateguard::{Policy, RateGuard, RateLimit, rate_limit};

use super::{Recorder, expected};
use crate::support::{
    PATIENCE,
    app::{from_client, get, send, statuses},
    redis_server::RedisServer,
};

#[get("/search")]
#[rate_limit(rate = "10/365d", shadow = "8/365d", key = "ip", name = "search")]
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
    shadow = "8/365d",
    rollout = 50,
    key = "header:X-User",
    name = "items"
)]
async fn items() -> impl Responder {
    "ok"
}

/// In memory and on Redis, each with a recorder of its own.
fn on_each(act: impl AsyncFn(&Recorder, RateGuard)) {
    let server = RedisServer::start();
    Recorder::hear(async |recorder| act(recorder, RateGuard::in_memory()).await);
    Recorder::hear(async |recorder| {
        let guard = server.settings("shadow").deadline(PATIENCE).build().unwrap();
        act(recorder, guard).await;
    });
}

/// What is told when that many decisions are. Nobody waits for what is tried, so it may be soon.
async fn told(recorder: &Recorder, decisions: u64) -> BTreeMap<[String; 4], u64> {
    let begun = Instant::now();
    loop {
        let told = recorder.decisions();
        if told.values().sum::<u64>() >= decisions || begun.elapsed() > PATIENCE {
            return told;
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_candidate_that_would_deny_a_fifth_is_seen_to_while_nobody_is_denied() {
    on_each(async |recorder, guard| {
        let limit = RateLimit::new(&guard, "10/365d").candidate("8/365d").name("wrapped");
        let wrapped = web::resource("/wrapped").wrap(limit).route(web::get().to(async || "ok"));
        let app = app!(guard, search, wrapped);
        for client in 1..=20 {
            assert_eq!(statuses(&app, client, "/search", 10).await, [200; 10]);
            assert_eq!(statuses(&app, client, "/wrapped", 10).await, [200; 10]);
        }
        // Each request is told twice: by what is enforced, and by what is tried.
        let counted = expected([
            ("search|10/365 days|allowed|store", 200),
            ("search|8/365 days|allowed|shadow", 160),
            ("search|8/365 days|denied|shadow", 40),
            ("wrapped|10/365 days|allowed|store", 200),
            ("wrapped|8/365 days|allowed|shadow", 160),
            ("wrapped|8/365 days|denied|shadow", 40),
        ]);
        assert_eq!(told(recorder, 800).await, counted);
        // Who is denied is seen by both, too.
        assert_eq!(get(&app, 1, "/search").await.status, 429);
        let counted = told(recorder, 802).await;
        let of = |text: &str| counted[expected([(text, 0)]).keys().next().unwrap()];
        assert_eq!(
            [of("search|10/365 days|denied|store"), of("search|8/365 days|denied|shadow")],
            [1, 41]
        );
        assert_eq!(counted.values().sum::<u64>(), 802);
    });
}

#[test]
fn a_candidate_is_known_before_anybody_is_counted() {
    Recorder::hear(async |recorder| {
        let policy = Policy::new("known", "10/365d").unwrap().candidate("8/365d").unwrap();
        let guard = RateGuard::builder().policy(policy).for_attributes(false).build().unwrap();
        guard.update_gauges();
        for (quota, limit) in [("10/365 days", 10.0), ("8/365 days", 8.0)] {
            let labels = [("policy", "known"), ("quota", quota)];
            assert_eq!(recorder.gauge("rateguard_quota_limit", &labels), Some(limit));
        }
    });
}

#[test]
fn a_policy_in_shadow_is_told_as_that_alone_and_refuses_nobody() {
    on_each(async |recorder, guard| {
        let limit = RateLimit::new(&guard, "2/365d").name("wrapped").shadow();
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
        assert_eq!(told(recorder, 30).await, counted);
    });
}

#[test]
fn a_roll_out_is_told_by_the_side_that_is_enforced_and_by_the_other_as_shadow() {
    on_each(async |recorder, guard| {
        const KEYS: u64 = 40;
        let app = app!(guard, items);
        let mut rolled = 0;
        for key in 0..KEYS {
            let ask = async || {
                let request = TestRequest::get().uri("/items").insert_header(("X-User", key));
                let answer = send(&app, from_client(1, request)).await;
                (answer.status, answer.numbers().unwrap()[0])
            };
            let (_, limit) = ask().await;
            rolled += u64::from(limit == 8);
            for number in 1..10 {
                let status = if number < limit { 200 } else { 429 };
                assert_eq!(ask().await, (status, limit));
            }
        }
        assert!((1..KEYS).contains(&rolled), "{rolled}");
        let others = KEYS - rolled;
        let counted = expected([
            ("items|8/365 days|allowed|store", 8 * rolled),
            ("items|8/365 days|denied|store", 2 * rolled),
            ("items|10/365 days|allowed|shadow", 10 * rolled),
            ("items|10/365 days|allowed|store", 10 * others),
            ("items|8/365 days|allowed|shadow", 8 * others),
            ("items|8/365 days|denied|shadow", 2 * others),
        ]);
        assert_eq!(told(recorder, 20 * KEYS).await, counted);
    });
}
