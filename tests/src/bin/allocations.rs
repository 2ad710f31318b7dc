//! Counts the heap allocations that a request causes with the memory store. For each kind of request, the program
//! prints a line with the name of the kind and the number of allocations per request. The counts need a custom
//! allocator, so this code is a separate program and not a part of the tests.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{error::Error, time::Duration};

use actix_rateguard::{Key, Limit, Policy, Quota, RateGuard, RateLimit, Statistics, key};
use actix_web::{
    App, Responder,
    dev::Service,
    get,
    http::header::{HeaderMap, HeaderName, HeaderValue},
    test::{TestRequest, init_service},
};
use futures_util::FutureExt;
use metrics_exporter_prometheus::PrometheusBuilder;

/// The number of requests in a measurement. With this number, a rare allocation, such as the growth of a log, does
/// not change the average.
const REQUESTS: u64 = 16;

const LIMITS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

#[get("/")]
async fn hello() -> impl Responder {
    "Hello."
}

/// Writes the headers that a limit would write.
fn write_headers(headers: &mut HeaderMap) {
    for name in LIMITS {
        let value = HeaderValue::from_static("12345");
        // The value is copied at run time, because a limit also formats its values at run time.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap_or(value);
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Counts the allocations that a request to this application causes.
macro_rules! count_requests {
    ($name:expr, $app:expr) => {
        let app = init_service($app.service(hello)).await;
        let call = || {
            let request = TestRequest::get().uri("/").insert_header(("X-User", "42")).to_request();
            let _ = app.call(request).now_or_never();
        };
        (0..600).for_each(|_| call());
        count($name, call);
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
        // After these checks, the sliding-window log has its final capacity. The log then does not grow while
        // allocations are counted.
        (0..600).for_each(|_| check());
        count(&format!("check, {name}"), check);
        // The guard looks up the metric handles in the first check with this recorder, so the allocations of the
        // first check are not counted.
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            check();
            count(&format!("check with metrics, {name}"), check);
        });
        let label = format!("policy=\"{name}\"");
        assert!(recorder.handle().render().contains(&label), "no metrics for {name}");
    }
    let statistics = RateGuard::builder().statistics(Statistics::new()).build()?;
    for (name, quota) in
        [("statistics, allowed", generous), ("statistics, denied", Quota::new(1, hour)?)]
    {
        let policy = Policy::new("counted", quota)?.named(&name.replace(", ", "-"))?;
        let check = || {
            let key = Key::from("a user of this application");
            let _ = statistics.check(&policy, &key).now_or_never();
        };
        (0..600).for_each(|_| check());
        count(&format!("check with {name}"), check);
    }
    let limit = RateLimit::new(&guard, Limit::new(generous).key(key::header("X-User")));
    let with_headers = App::new().wrap_fn(|request, service| {
        let future = service.call(request);
        async {
            let mut response = future.await?;
            write_headers(response.headers_mut());
            Ok(response)
        }
    });
    count_requests!("response with three headers", with_headers);
    count_requests!("response of a limit", App::new().wrap(limit));
    Ok(())
}

fn count(name: &str, request: impl Fn()) {
    let allocations = allocation_counter::measure(|| (0..REQUESTS).for_each(|_| request()));
    println!("{name}: {}", allocations.count_total / REQUESTS);
}
