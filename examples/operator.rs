//! The dashboard and the JSON endpoints for operators: they show which limits deny which clients, explain decisions, and
//! reset, ban or unban a key.
//!
//! ```sh
//! cargo run --example operator    # it prints the address of the dashboard, and a token to log in
//! ```
//!
//! Some clients in the program send requests, so that the dashboard has something to show. The endpoints also work without
//! a browser:
//!
//! ```sh
//! OPERATOR_TOKEN=a-long-secret cargo run --example operator
//! for i in 1 2 3 4 5 6; do curl -i -d '' 127.0.0.1:8080/login; done   # the sixth request is a 429
//!
//! curl -i 127.0.0.1:8080/operator/inventory                           # 401
//! alias operator='curl -H "Authorization: Bearer a-long-secret" -H "Content-Type: application/json"'
//! operator 127.0.0.1:8080/operator/inventory
//! operator 127.0.0.1:8080/operator/health
//! operator 127.0.0.1:8080/operator/statistics
//! operator 127.0.0.1:8080/operator/explain -d '{"policy": "login", "address": "127.0.0.1"}'
//! operator 127.0.0.1:8080/operator/reset -d '{"policy": "login", "address": "127.0.0.1"}'
//! operator 127.0.0.1:8080/operator/ban -d '{"policy": "login", "address": "127.0.0.1", "for_seconds": 600}'
//! operator 127.0.0.1:8080/operator/unban -d '{"policy": "login", "address": "127.0.0.1"}'
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limits, and the dashboard shows all of
//! them:
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 PORT=8081 cargo run --example operator
//! ```
//!
//! In a project of your own, this program also needs the feature `dashboard` of `actix-rateguard`. Only the clients need
//! the dependency `ureq = "3"`.

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

#[path = "operator/traffic.rs"]
mod traffic;

use std::{
    env,
    error::Error,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use actix_rateguard::{
    ClientAddress, Limit, RateGuard, RateGuardBuilder, RateLimit, Statistics, builder::StoreConfig,
    operator, rate_limit,
};
use actix_web::{App, HttpRequest, HttpServer, post, rt::time::sleep, web};
use env_logger::Env;

#[post("/login")]
#[rate_limit(rate = "5/minute", key = "ip", ban = "20/hour for 2m up to 1d", name = "login")]
async fn login() -> &'static str {
    "Welcome.\n"
}

/// The candidate is in shadow mode: it shows whom a stricter limit would deny.
#[post("/search")]
#[rate_limit(
    rate = "600/minute",
    candidate = "400/minute",
    key = "header:X-Api-Key",
    name = "search"
)]
async fn search() -> &'static str {
    "Nothing found.\n"
}

#[post("/export")]
#[rate_limit(concurrent = 2, key = "header:X-Api-Key", name = "export")]
async fn export() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "Done.\n"
}

#[post("/thumbnail")]
#[rate_limit(rate = "3/second", wait = "2s", key = "header:X-Api-Key", name = "thumbnail")]
async fn thumbnail() -> &'static str {
    "A small picture.\n"
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let port: u16 = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|error| format!("PORT={port}: {error}"))?,
        Err(_) => 8080,
    };
    let token = env::var("OPERATOR_TOKEN").ok().filter(|token| !token.is_empty());
    let token = token.unwrap_or_else(random_token);
    let guard = match env::var("REDIS_URL") {
        Ok(url) => build(RateGuard::redis(url).prefix("operator"))
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => build(RateGuard::builder())?,
    };

    let (server_guard, server_token) = (guard.clone(), token.clone());
    let server = HttpServer::new(move || {
        let endpoints = operator::endpoints(&server_guard).allow_token(&server_token);
        // Without this exception, an operator that is denied by this limit could not find out why.
        let everything = RateLimit::new(
            &server_guard,
            Limit::new("100/second")
                .name("everything")
                .skip(|request: &HttpRequest| request.path().starts_with("/operator/")),
        );
        App::new()
            .app_data(server_guard.clone())
            .wrap(everything)
            .service((login, search, export, thumbnail))
            .service(web::scope("/operator").service(endpoints))
    })
    .bind(("127.0.0.1", port))
    .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;

    traffic::start(([127, 0, 0, 1], port).into(), token.clone());
    println!("Dashboard: http://127.0.0.1:{port}/operator/dashboard");
    println!("The browser asks for a user name and a password. Any name is right. The password is");
    println!("the token of the operators: {token}");
    server.run().await?;
    guard.close().await;
    Ok(())
}

/// Sets what is the same for both stores.
fn build<S: StoreConfig>(builder: RateGuardBuilder<S>) -> Result<RateGuard, Box<dyn Error>> {
    // The clients of this program are behind no real proxy. They choose their addresses by `X-Forwarded-For`.
    let builder = builder.client_address(ClientAddress::behind(["127.0.0.1"])?);
    // Keys in the statistics are digests. Here, the dashboard shows the keys themselves.
    Ok(builder.overrides(true).statistics(Statistics::new().readable_keys(true)).build()?)
}

/// Returns a token for a demonstration. A server in production needs the same secret in all processes and after each
/// start, from its own configuration.
fn random_token() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
