//! Runs an application server that is attacked: `attack_server STORE PREFIX MODE REPLICAS LIMIT [DEADLINE]`.
//!
//! STORE is `memory` or a URL. MODE is the failure mode: `open`, `closed` or `local`. LIMIT is the name of one of
//! [the limits](rateguard_tests::attack::limits). DEADLINE is in milliseconds. All other settings of the guard have
//! their default values.
//!
//! The first line of output has two ports: one for HTTP/1.1, and one for HTTP/2 with prior knowledge. The page `/`
//! has the limit, and `/free` has no limit. `/failures` returns the counts of `RateGuard::failures`. A request with
//! the header `X-Hold` waits until a request for `/release` arrives. Each request for `/release` lets one waiting
//! request continue.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, time::Duration};

use actix_rateguard::{ClientAddress, Count, Limit, OnError, RateGuard, RateLimit, key};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use rateguard_tests::attack::{
    TIMEOUT,
    limits::{self, KeyKind},
};
use tokio::sync::Notify;

const WORKERS: usize = 2;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args: Vec<String> = env::args().skip(1).collect();
    let deadline = if args.len() > 5 { args.pop() } else { None };
    let [store, prefix, mode, replicas, limit] = <[String; 5]>::try_from(args)
        .map_err(|_| "usage: attack_server STORE PREFIX MODE REPLICAS LIMIT [DEADLINE]")?;
    let limit = limits::Limit::named(&limit).ok_or("unknown limit")?;
    let mode = match &*mode {
        "open" => OnError::Open,
        "closed" => OnError::Closed,
        "local" => OnError::Local,
        _ => return Err("expected the mode `open`, `closed` or `local`".into()),
    };
    let client_address = match limit.is_behind_proxy {
        true => ClientAddress::behind(["127.0.0.1"])?,
        false => ClientAddress::peer(),
    };
    let guard = match &*store {
        "memory" => RateGuard::builder().client_address(client_address).build()?,
        url => {
            let mut builder = RateGuard::redis(url).prefix(prefix).client_address(client_address);
            if let Some(millis) = deadline {
                builder = builder.deadline(Duration::from_millis(millis.parse()?));
            }
            builder.on_error(mode).replicas(replicas.parse()?).build()?
        }
    };
    let release = web::Data::new(Notify::new());

    let server = HttpServer::new(move || {
        let (for_failures, release) = (guard.clone(), release.clone());
        App::new()
            .app_data(release)
            .configure(|config| add_page(config, &guard, limit))
            .route("/free", web::to(HttpResponse::Ok))
            .route("/failures", web::to(move || std::future::ready(failures(&for_failures))))
            .route("/release", web::to(release_one))
    });
    // The timeouts are long, because a client on a slow machine may pause for longer than the default timeouts allow.
    let server = server.keep_alive(TIMEOUT).client_request_timeout(TIMEOUT);
    let server = server.workers(WORKERS).bind(("127.0.0.1", 0))?;
    let server = server.bind_auto_h2c(("127.0.0.1", 0))?;
    let ports: Vec<_> = server.addrs().iter().map(|address| address.port().to_string()).collect();
    println!("{}", ports.join(" "));
    Ok(server.run().await?)
}

/// Adds the page that is attacked. The page has no limiter if the limit has no quotas.
fn add_page(config: &mut web::ServiceConfig, guard: &RateGuard, limit: &'static limits::Limit) {
    let resource = web::resource("/");
    if limit.rate.is_empty() {
        config.service(resource.to(page_without_limiter));
    } else {
        config.service(resource.to(page).wrap(rate_limit(guard, limit)));
    }
}

/// Sends a response with the same headers as a page whose limiter has admitted the request.
async fn page_without_limiter() -> HttpResponse {
    HttpResponse::Ok().insert_header(("X-RateLimit-Limit", "5")).body("ok")
}

fn rate_limit(guard: &RateGuard, limit: &'static limits::Limit) -> RateLimit {
    let page_limit = Limit::new(limit.rate).name(limit.name).cost(cost);
    let page_limit = match limit.key {
        KeyKind::Address => page_limit.key(key::ip()),
        KeyKind::Cookie => page_limit.key(key::cookie("session")),
        KeyKind::Global => page_limit.key(key::global()),
    };
    let page_limit = match limit.counts_failures {
        true => page_limit.count(Count::Failure),
        false => page_limit,
    };
    let page_limit = match limit.ban {
        Some(ban) => page_limit.ban(ban),
        None => page_limit,
    };
    let middleware = RateLimit::new(guard, page_limit);
    match limit.global {
        Some(rate) => middleware.and(Limit::new(rate).key(key::global()).name("global")),
        None => middleware,
    }
}

/// Sends a response with the status from the header `X-Status`. A request with the header `X-Hold` first waits until
/// a request for `/release` arrives.
async fn page(request: HttpRequest, release: web::Data<Notify>) -> HttpResponse {
    if request.headers().contains_key("X-Hold") {
        release.notified().await;
    }
    let status = request.headers().get("X-Status").and_then(|status| status.to_str().ok());
    let status = status.and_then(|status| status.parse::<StatusCode>().ok());
    HttpResponse::build(status.unwrap_or(StatusCode::OK)).body("ok")
}

async fn release_one(release: web::Data<Notify>) -> &'static str {
    release.notify_one();
    "released"
}

fn failures(guard: &RateGuard) -> String {
    let failures = guard.failures();
    format!("{} {} {}", failures.open, failures.closed, failures.local)
}

fn cost(request: &HttpRequest) -> u32 {
    let cost = request.headers().get("X-Cost").and_then(|cost| cost.to_str().ok());
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(1)
}
