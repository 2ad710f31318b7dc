//! Tests that the explanation of a request agrees with the decision on the same request. The requests are random.

use std::{net::SocketAddr, time::Duration};

use actix_rateguard::{
    ClientAddress, Limit, MemoryStore, RateGuard, RateLimit, key, rate_limit,
    test_util::ManualClock,
};
use actix_web::{App, HttpRequest, get, test::TestRequest, test::init_service, web};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::Value;

use super::explain_json;
use crate::support::{app::send, redis_server::RedisServer};

#[get("/op-agree")]
#[rate_limit(rate = "4/10s; 9/minute token_bucket burst 6", key = "header:X-Key", cost = |request: &HttpRequest| request.headers().get("X-Cost").map_or(1, |_| 2), name = "op-agree", methods = "GET")]
#[rate_limit(rate = "7/20s", key = "ip", skip = |request: &HttpRequest| request.headers().contains_key("X-Free"), name = "op-agree-ip")]
async fn limited() -> &'static str {
    "ok"
}

const MIDDLEWARE: &str = "op-agree-limit";

fn trusted_proxies() -> ClientAddress {
    ClientAddress::behind(["10.0.0.0/8"]).unwrap()
}

macro_rules! app {
    ($guard:expr) => {{
        let limit = RateLimit::new(
            &$guard,
            Limit::new("12/30s fixed_window").key(key::ip()).name(MIDDLEWARE),
        );
        init_service(
            App::new()
                .app_data($guard.clone())
                .service(limited)
                .service(web::resource("/op-agree-limit").wrap(limit).to(async || "ok")),
        )
        .await
    }};
}

/// A random request that one of a few clients sends.
struct RandomRequest {
    path: &'static str,
    peer: SocketAddr,
    headers: Vec<(&'static str, &'static str)>,
}

impl RandomRequest {
    fn random(random: &mut SmallRng) -> Self {
        let path = pick(random, &["/op-agree", "/op-agree", "/op-agree-limit"]);
        let peer =
            *pick(random, &["10.0.0.1:1", "192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"]);
        let mut headers = Vec::new();
        for _ in 0..random.random_range(0..3) {
            let value = pick(
                random,
                &[
                    "192.0.2.1",
                    "192.0.2.2, 10.0.0.2",
                    "2001:db8::2",
                    "2001:db8:0:1::2",
                    "nonsense",
                    "1.1.1.1, nonsense, 10.0.0.7",
                    "",
                ],
            );
            headers.push(("X-Forwarded-For", *value));
        }
        for (name, value) in
            [("X-Key", "a"), ("X-Key", "b"), ("X-Key", ""), ("X-Cost", "2"), ("X-Free", "1")]
        {
            if random.random_range(0..4) == 0 {
                headers.push((name, value));
            }
        }
        Self { path, peer: peer.parse().unwrap(), headers }
    }

    fn to_request(&self) -> TestRequest {
        let request = TestRequest::get().uri(self.path).peer_addr(self.peer);
        self.headers.iter().fold(request, |request, header| request.append_header(*header))
    }

    async fn explain(&self, guard: &RateGuard) -> Value {
        let limits = match self.path {
            "/op-agree" => &["op-agree", "op-agree-ip"][..],
            _ => &[MIDDLEWARE],
        };
        explain_json(guard, self.to_request(), limits).await
    }
}

fn pick<'a, T>(random: &mut SmallRng, all: &'a [T]) -> &'a T {
    &all[random.random_range(0..all.len())]
}

/// Returns the wait in seconds. Asserts that the explanation has a wait if and only if the request would be denied.
fn retry_after(explanation: &Value) -> Option<f64> {
    let wait = explanation["retry_after_seconds"].as_f64();
    assert_eq!(wait.is_some(), explanation["passes"] == false);
    wait
}

#[actix_web::test]
async fn explanation_matches_the_next_request_in_memory() {
    let clock = ManualClock::new();
    let guards = [(); 2].map(|()| {
        let store = MemoryStore::new().clock(clock.clone());
        RateGuard::builder().store(store).client_address(trusted_proxies()).build().unwrap()
    });
    let [guard, reference] = guards;
    let (app, reference_app) = (app!(guard), app!(reference));
    let mut random = SmallRng::seed_from_u64(3);
    let mut outcome_counts = [0; 2];
    for step in 0..1_500 {
        let request = RandomRequest::random(&mut random);
        let explanation = request.explain(&guard).await;
        let response = send(&app, request.to_request()).await;
        let passes = explanation["passes"].as_bool().unwrap();
        assert_eq!(passes, response.status == 200, "{step}: {response:?}\n{explanation:#}");
        outcome_counts[usize::from(passes)] += 1;
        if let Some(wait) = retry_after(&explanation) {
            let header: f64 = response.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(wait.ceil().max(1.0), header, "{step}: {response:?}\n{explanation:#}");
        }
        // The second application must make the same decision, although it has no explanations. This shows that an
        // explanation changes nothing.
        let expected = send(&reference_app, request.to_request()).await;
        assert_eq!(
            (response.status, response.numbers()),
            (expected.status, expected.numbers()),
            "{step}"
        );
        clock.advance(Duration::from_millis(random.random_range(0..1_500)));
    }
    assert!(outcome_counts.iter().all(|times| *times > 200), "{outcome_counts:?}");
}

#[actix_web::test]
async fn explanation_matches_the_next_request_in_redis() {
    let redis = RedisServer::start();
    let guard = RateGuard::redis(redis.url())
        .prefix("test")
        .deadline(crate::support::TEST_TIMEOUT)
        .client_address(trusted_proxies())
        .denial_cache_ttl(Duration::ZERO)
        .build()
        .unwrap();
    let app = app!(guard);
    let mut random = SmallRng::seed_from_u64(4);
    let mut outcome_counts = [0; 2];
    for _ in 0..200 {
        let request = RandomRequest::random(&mut random);
        let before = request.explain(&guard).await;
        let response = send(&app, request.to_request()).await;
        let (is_admitted, after) = (response.status == 200, request.explain(&guard).await);
        outcome_counts[usize::from(is_admitted)] += 1;
        if before["passes"] == true {
            // Over time, units can only become free. Therefore the request must be admitted if the explanation before
            // it reported that it would pass.
            assert!(is_admitted, "{response:?}\n{before:#}");
        } else if !is_admitted {
            // Over time, units can only become free. Therefore the wait in the response must not be longer than in
            // the explanation before it. The wait in the explanation after it must not be longer than in the
            // response.
            let header: f64 = response.header("retry-after").unwrap().parse().unwrap();
            assert!(retry_after(&before).unwrap().ceil() >= header, "{response:?}\n{before:#}");
            if let Some(wait) = retry_after(&after) {
                assert!(wait <= header, "{response:?}\n{after:#}");
            }
        }
    }
    assert!(outcome_counts.iter().all(|times| *times > 20), "{outcome_counts:?}");
}
