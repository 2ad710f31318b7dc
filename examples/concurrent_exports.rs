//! Each address may run five exports at the same time, on all servers together.
//!
//! ```sh
//! cargo run --example concurrent_exports
//! for i in 1 2 3 4 5 6; do curl -i "127.0.0.1:8080/export?seconds=5" & done; wait
//! curl 127.0.0.1:8080/running
//! ```
//!
//! `PORT` changes the port. With `REDIS_URL`, all servers on that Redis share the limit. If a server is killed, the permits
//! of its exports come back after ten seconds:
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 PORT=8081 cargo run --example concurrent_exports
//! ```

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{
    env,
    error::Error,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use actix_rateguard::{RateGuard, RequestPermit, rate_limit};
use actix_web::{App, HttpServer, Responder, get, rt::time::sleep, web};
use env_logger::Env;
use serde::Deserialize;

/// The number of exports that run in this process.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts an export until it is dropped, also if its client disconnects.
struct Export;

impl Export {
    fn start() -> Self {
        RUNNING.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Relaxed);
    }
}

#[derive(Deserialize)]
struct Options {
    seconds: f64,
}

#[get("/export")]
#[rate_limit(concurrent = 5, key = "ip")]
async fn export(options: web::Query<Options>, permit: RequestPermit) -> impl Responder {
    let _export = Export::start();
    sleep(Duration::from_secs_f64(options.seconds.clamp(0.0, 3_600.0))).await;
    // After a pause of the whole process, another export may have the place of this one.
    if permit.is_valid() { "Done.\n" } else { "Done, but the permit has expired.\n" }
}

#[get("/running")]
async fn running() -> impl Responder {
    format!("{} exports run in this process\n", RUNNING.load(Relaxed))
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
            .prefix("concurrent-exports")
            .build()
            .map_err(|error| format!("REDIS_URL: {error}"))?,
        Err(_) => RateGuard::in_memory(),
    };

    let server_guard = guard.clone();
    let server = HttpServer::new(move || {
        App::new().app_data(server_guard.clone()).service(export).service(running)
    })
    .bind(("127.0.0.1", port))
    .map_err(|error| format!("port {port}: {error}; set PORT=8081 for another port"))?;
    println!("Try: curl -i 'http://127.0.0.1:{port}/export?seconds=5'");
    server.run().await?;
    // Gives back the permits of exports that the shutdown has interrupted.
    guard.close().await;
    Ok(())
}
