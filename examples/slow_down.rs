//! Each address may request five thumbnails per second. A request that comes too early waits for up to two seconds
//! instead of being denied.
//!
//! ```sh
//! cargo run --example slow_down
//! for i in $(seq 12); do curl -s "127.0.0.1:8080/thumbnail" & done; wait
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limit.

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{env, error::Error};

use actix_rateguard::{CheckResult, RateGuard, rate_limit};
use actix_web::{App, HttpServer, Responder, get};
use env_logger::Env;

#[get("/thumbnail")]
#[rate_limit(rate = "5/second", wait = "2s", key = "ip")]
async fn thumbnail(result: CheckResult) -> impl Responder {
    format!("Waited {} ms.\n", result.waited().as_millis())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let port: u16 = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|error| format!("PORT={port}: {error}"))?,
        Err(_) => 8080,
    };
    let guard = match env::var("REDIS_URL") {
        Ok(url) => RateGuard::redis(url)
            .prefix("slow-down")
            .build()
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => RateGuard::in_memory(),
    };

    let server_guard = guard.clone();
    let server =
        HttpServer::new(move || App::new().app_data(server_guard.clone()).service(thumbnail))
            // A client that closes its connection then leaves the queue.
            .h1_allow_half_closed(false)
            .bind(("127.0.0.1", port))
            .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;
    println!("Try: curl http://127.0.0.1:{port}/thumbnail");
    server.run().await?;
    guard.close().await;
    Ok(())
}
