//! A middleware limits all requests of a client to 100 per minute. An attribute limits `/search` to 5 per minute.
//!
//! ```sh
//! cargo run --example quickstart
//! for i in 1 2 3 4 5 6; do curl -i 127.0.0.1:8080/search/rust; done
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limits:
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 PORT=8081 cargo run --example quickstart
//! ```

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{env, error::Error};

use actix_rateguard::{RateGuard, RateLimit, rate_limit};
use actix_web::{App, HttpRequest, HttpServer, Responder, get, web};
use env_logger::Env;

#[get("/search/{words}")]
#[rate_limit(limit = 5, window = 60, key = "ip")]
async fn search(words: web::Path<String>) -> impl Responder {
    format!("Nothing found for {words}.\n")
}

#[get("/")]
async fn index(request: HttpRequest) -> impl Responder {
    let address = request.app_config().local_addr();
    format!(
        "Run this six times and compare the headers:

    curl -i http://{address}/search/rust

Each client may send 5 requests per minute to /search, and 100 to all pages.\n"
    )
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
            .prefix("quickstart")
            .build()
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => RateGuard::in_memory(),
    };

    let server = HttpServer::new(move || {
        App::new()
            .app_data(guard.clone())
            .wrap(RateLimit::new(&guard, "100/minute"))
            .service(index)
            .service(search)
    })
    .bind(("127.0.0.1", port))
    .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;
    println!("Try: curl -i http://127.0.0.1:{port}/search/rust");
    Ok(server.run().await?)
}
