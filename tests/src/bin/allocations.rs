//! Counts what the way of a request takes from the heap where the store is in memory: for each kind of request a line with its
//! name and how many allocations one makes. It is a program of its own, as it counts with an allocator of its own.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

use std::{error::Error, time::Duration};

use actix_web::{
    App, Responder,
    dev::Service,
    get,
    http::header::{HeaderMap, HeaderName, HeaderValue},
    test::{TestRequest, init_service},
};
use futures_util::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;
use rateguard::{Key, Policy, Quota, RateGuard, RateLimit, key};

/// So many requests make none by chance, as a log that grows would.
const REQUESTS: u64 = 16;

const LIMITS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

#[get("/")]
async fn answer() -> impl Responder {
    "Hello."
}

/// What a limit writes.
fn write_three(headers: &mut HeaderMap) {
    for name in LIMITS {
        let value = HeaderValue::from_static("12345");
        // As it is with digits that are not known before.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap_or(value);
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Says it of requests to this application.
macro_rules! say_of {
    ($name:expr, $app:expr) => {
        let app = init_service($app.service(answer)).await;
        let call = || {
            let request = TestRequest::get().uri("/").insert_header(("X-User", "42")).to_request();
            let _ = app.call(request).now_or_never();
        };
        (0..600).for_each(|_| call());
        say($name, call);
    };
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hour = Duration::from_secs(3_600);
    let guard = RateGuard::in_memory();
    let generous = Quota::new(1_000_000, hour)?;
    for (name, quota) in [("allowed", generous), ("denied", Quota::new(1, hour)?)] {
        let policy = Policy::new(name, quota)?;
        let check = || {
            let key = Key::from("a user of this application");
            let _ = guard.check(&policy, &key).now_or_never();
        };
        // The log has grown by then.
        (0..600).for_each(|_| check());
        say(&format!("check, {name}"), check);
        // A recorder that comes now is told from now on, and nothing is looked up after the first time.
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            check();
            say(&format!("check that is counted, {name}"), check);
        });
        let told = format!("policy=\"{name}\"");
        assert!(recorder.handle().render().contains(&told), "{name} is not counted");
    }
    let limit = RateLimit::new(&guard, generous).by(key::header("X-User"));
    let with_headers = App::new().wrap_fn(|request, service| {
        let answered = service.call(request);
        async {
            let mut response = answered.await?;
            write_three(response.headers_mut());
            Ok(response)
        }
    });
    say_of!("answer with three headers", with_headers);
    say_of!("answer of a limit", App::new().wrap(limit));
    Ok(())
}

fn say(name: &str, request: impl Fn()) {
    let counted = allocation_counter::measure(|| (0..REQUESTS).for_each(|_| request()));
    println!("{name}: {}", counted.count_total / REQUESTS);
}
