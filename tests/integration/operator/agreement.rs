//! What is explained is what comes of the next request, whatever is asked.

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpRequest, get, test::TestRequest, test::init_service, web};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rateguard::{
    ClientAddress, MemoryStore, RateGuard, RateLimit, key, rate_limit, test_util::ManualClock,
};
use serde_json::{Value, json};

use super::{endpoints, told};
use crate::support::{app::send, redis_server::RedisServer};

#[get("/op-agree")]
#[rate_limit(rate = "4/10s; 9/minute token_bucket burst 6", key = "header:X-Key", cost = |request: &HttpRequest| request.headers().get("X-Cost").map_or(1, |_| 2), name = "op-agree", methods = "GET")]
#[rate_limit(rate = "7/20s", key = "ip", skip = |request: &HttpRequest| request.headers().contains_key("X-Free"), name = "op-agree-ip")]
async fn limited() -> &'static str {
    "ok"
}

const AROUND: &str = "op-agree-around";

fn behind() -> ClientAddress {
    ClientAddress::behind(["10.0.0.0/8"]).unwrap()
}

macro_rules! app {
    ($guard:expr) => {{
        let around = RateLimit::new(&$guard, "12/30s fixed_window").by(key::ip()).name(AROUND);
        init_service(
            App::new()
                .app_data($guard.clone())
                .service(endpoints(&$guard))
                .service(limited)
                .service(web::resource("/op-agree-around").wrap(around).to(async || "ok")),
        )
        .await
    }};
}

/// A request of one of a few clients, as a body for `explain` and as itself.
struct Asked {
    path: &'static str,
    peer: SocketAddr,
    headers: Vec<(&'static str, &'static str)>,
}

impl Asked {
    fn random(random: &mut SmallRng) -> Self {
        let path = pick(random, &["/op-agree", "/op-agree", "/op-agree-around"]);
        let peer =
            *pick(random, &["10.0.0.1:1", "192.0.2.1:1", "[2001:db8::1]:1", "[::ffff:10.0.0.1]:1"]);
        let mut headers = Vec::new();
        for _ in 0..random.random_range(0..3) {
            let line = pick(
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
            headers.push(("X-Forwarded-For", *line));
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

    fn request(&self) -> TestRequest {
        let request = TestRequest::get().uri(self.path).peer_addr(self.peer);
        self.headers.iter().fold(request, |request, header| request.append_header(*header))
    }

    fn described(&self) -> Value {
        let limits = match self.path {
            "/op-agree" => &["op-agree", "op-agree-ip"][..],
            _ => &[AROUND],
        };
        let request = json!({
            "path": self.path, "peer": self.peer.to_string(), "headers": self.headers,
        });
        json!({ "request": request, "limits": limits })
    }
}

fn pick<'a, T>(random: &mut SmallRng, all: &'a [T]) -> &'a T {
    &all[random.random_range(0..all.len())]
}

/// How long a request that is denied has to wait.
fn wait(explanation: &Value) -> Option<f64> {
    let wait = explanation["retry_after_seconds"].as_f64();
    assert_eq!(wait.is_some(), explanation["passes"] == false);
    wait
}

#[actix_web::test]
async fn a_request_passes_if_that_was_explained_and_waits_for_as_long() {
    let clock = ManualClock::new();
    let guards = [(); 2].map(|()| {
        let store = MemoryStore::new().clock(clock.clone());
        RateGuard::builder().store(store).client_address(behind()).build().unwrap()
    });
    let [guard, twin] = guards;
    let (app, unasked) = (app!(guard), app!(twin));
    let mut random = SmallRng::seed_from_u64(3);
    let mut seen = [0; 2];
    for step in 0..1_500 {
        let asked = Asked::random(&mut random);
        let explanation = told(&app, "explain", &asked.described()).await;
        let answer = send(&app, asked.request()).await;
        let passes = explanation["passes"].as_bool().unwrap();
        assert_eq!(passes, answer.status == 200, "{step}: {answer:?}\n{explanation:#}");
        seen[usize::from(passes)] += 1;
        if let Some(wait) = wait(&explanation) {
            let told: f64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert_eq!(wait.ceil().max(1.0), told, "{step}: {answer:?}\n{explanation:#}");
        }
        // Who never explains anything is at the same place.
        let twin = send(&unasked, asked.request()).await;
        assert_eq!((answer.status, answer.numbers()), (twin.status, twin.numbers()), "{step}");
        clock.advance(Duration::from_millis(random.random_range(0..1_500)));
    }
    assert!(seen.iter().all(|times| *times > 200), "{seen:?}");
}

#[actix_web::test]
async fn it_is_so_in_redis_too() {
    let redis = RedisServer::start();
    let guard = RateGuard::redis(redis.url())
        .deadline(crate::support::PATIENCE)
        .client_address(behind())
        .remember_denials(Duration::ZERO)
        .build()
        .unwrap();
    let app = app!(guard);
    let mut random = SmallRng::seed_from_u64(4);
    let mut seen = [0; 2];
    for _ in 0..200 {
        let asked = Asked::random(&mut random);
        let before = told(&app, "explain", &asked.described()).await;
        let answer = send(&app, asked.request()).await;
        let (passed, after) =
            (answer.status == 200, told(&app, "explain", &asked.described()).await);
        seen[usize::from(passed)] += 1;
        if before["passes"] == true {
            // What had room then has room later.
            assert!(passed, "{answer:?}\n{before:#}");
        } else if !passed {
            // Time passes between them.
            let told: f64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(wait(&before).unwrap().ceil() >= told, "{answer:?}\n{before:#}");
            if let Some(wait) = wait(&after) {
                assert!(wait <= told, "{answer:?}\n{after:#}");
            }
        }
    }
    assert!(seen.iter().all(|times| *times > 20), "{seen:?}");
}
