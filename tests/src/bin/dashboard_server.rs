//! A server of the dashboard, for tests in a browser: `dashboard_server REDIS_URL NAME TOKEN POLICIES_FILE`.
//!
//! The first line of output is the port that the system chose. The server trusts the header `X-Forwarded-For` of its
//! peers. It ends when its standard input is closed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, io, process, thread, time::Duration};

use actix_rateguard::{ClientAddress, OnError, RateGuard, Statistics, operator, rate_limit};
use actix_web::{App, HttpRequest, HttpServer, post, rt::time::sleep, web};

#[post("/login")]
#[rate_limit(rate = "5/minute", key = "ip", ban = "1000/hour for 1m up to 1d", name = "login")]
async fn login() -> &'static str {
    ""
}

#[post("/search")]
#[rate_limit(policy = "search", key = "header:X-Api-Key")]
async fn search() -> &'static str {
    ""
}

#[post("/export")]
#[rate_limit(concurrent = 2, key = "header:X-Api-Key+ip", name = "export")]
async fn export() -> &'static str {
    sleep(Duration::from_millis(500)).await;
    ""
}

#[post("/thumbnail")]
#[rate_limit(rate = "5/second", wait = "2s", key = "header:X-Api-Key", name = "thumbnail")]
async fn thumbnail() -> &'static str {
    ""
}

/// The key is the query as a client sends it after percent-decoding, so that it can contain every character.
#[post("/echo")]
#[rate_limit(rate = "1/hour", key = decoded_query, name = "echo")]
async fn echo() -> &'static str {
    ""
}

fn decoded_query(request: &HttpRequest) -> Option<String> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    query.into_inner().into_iter().find(|(name, _)| name == "key").map(|(_, value)| value)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, name, token, file] = &arguments[..] else {
        return Err("usage: dashboard_server REDIS_URL NAME TOKEN POLICIES_FILE".into());
    };
    let guard = RateGuard::redis(url)
        .prefix("dashboard")
        .client_address(ClientAddress::behind(["127.0.0.1"])?)
        .on_error(OnError::Local)
        .overrides(true)
        .policies_file(file)
        .statistics(Statistics::new().readable_keys(true).process_name(name))
        .build()?;
    let token = token.clone();
    let server = HttpServer::new(move || {
        let endpoints = operator::endpoints(&guard).allow_token(&token);
        App::new()
            .app_data(guard.clone())
            .service((login, search, export, thumbnail, echo))
            .service(web::scope("/operator").service(endpoints))
    });
    let server = server.workers(1).bind(("127.0.0.1", 0))?;
    println!("{}", server.addrs().first().ok_or("no address")?.port());
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    Ok(server.run().await?)
}
