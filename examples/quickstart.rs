//! Every endpoint 100 times a minute for each client, by one middleware; `/search` 5 times a minute, by one attribute.
//!
//! ```sh
//! cargo run --example quickstart
//! for i in 1 2 3 4 5 6; do curl -i '127.0.0.1:8080/search?q=rust'; done
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limits:
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 PORT=8081 cargo run --example quickstart
//! ```

#![allow(clippy::print_stdout, reason = "it talks to whoever tries it")]

use std::{env, error::Error};

use actix_web::{App, HttpRequest, HttpServer, Responder, get, web};
use env_logger::Env;
use rateguard::{RateGuard, RateLimit, rate_limit};
use serde::Deserialize;

#[derive(Deserialize)]
struct Search {
    q: String,
}

#[get("/search")]
#[rate_limit(limit = 5, window = 60, key = "ip")]
async fn search(query: web::Query<Search>) -> impl Responder {
    format!("Nothing found for {:?}, but you may ask.\n", query.q)
}

#[get("/")]
async fn index(request: HttpRequest) -> impl Responder {
    let address = request.app_config().local_addr();
    format!(
        "Try this six times and watch the headers:

    curl -i 'http://{address}/search?q=rust'

/search may be called 5 times a minute by each client, every page 100 times.\n"
    )
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("warn"));
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
    .map_err(|error| format!("port {port}: {error}; PORT=8081 takes another"))?;
    println!("Try: curl -i 'http://127.0.0.1:{port}/search?q=rust'");
    Ok(server.run().await?)
}
