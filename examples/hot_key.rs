//! All clients together may send 1,000 requests per second. Each server takes up to 50 units from Redis at once.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --example hot_key
//! REDIS_URL=redis://127.0.0.1:6379 PORT=8081 cargo run --example hot_key
//! curl -i 127.0.0.1:8080/search
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limit. Without it, the server counts
//! in memory and needs no lease.

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{env, error::Error};

use actix_rateguard::{RateGuard, rate_limit};
use actix_web::{App, HttpServer, Responder, get};
use env_logger::Env;

#[get("/search")]
#[rate_limit(rate = "1000/second", lease = 50, key = "global")]
async fn search() -> impl Responder {
    "Nothing found.\n"
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
            .prefix("hot-key")
            .build()
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => RateGuard::in_memory(),
    };

    let server_guard = guard.clone();
    let server = HttpServer::new(move || App::new().app_data(server_guard.clone()).service(search))
        .bind(("127.0.0.1", port))
        .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;
    println!("Try: curl -i http://127.0.0.1:{port}/search");
    server.run().await?;
    // Gives back the unused units.
    guard.close().await;
    Ok(())
}
