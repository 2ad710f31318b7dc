//! A server behind nginx. It limits each client, and not nginx, because it trusts nginx to report the client's address.
//!
//! Start the server and nginx, in two terminals. `nginx.conf` is next to this file:
//!
//! ```sh
//! cargo run --example behind_nginx
//! mkdir -p target/nginx && nginx -p target/nginx -e stderr -c "$PWD/examples/nginx.conf" -g 'daemon off;'
//! ```
//!
//! On Linux, `--interface` makes curl a client with another address. The fourth request of the first client is
//! rejected, also with a forged header. The second client has its own limit:
//!
//! ```sh
//! for i in 1 2 3 4; do curl -i --interface 127.0.0.2 127.0.0.1:8000; done
//! curl -i --interface 127.0.0.2 -H 'X-Forwarded-For: 192.0.2.1' 127.0.0.1:8000
//! curl -i --interface 127.0.0.3 127.0.0.1:8000
//! ```
//!
//! The usual mistake is a server that trusts no proxy. All clients then share one limit, and the log has a warning:
//!
//! ```sh
//! TRUSTED_PROXIES= cargo run --example behind_nginx
//! ```
//!
//! `PORT` changes the port of the server, and `TRUSTED_PROXIES` has addresses or networks, separated by commas.

#![allow(clippy::print_stdout, reason = "it prints what to do next")]

use std::{env, error::Error};

use actix_rateguard::{ClientAddress, RateGuard, RateLimit};
use actix_web::{App, HttpServer, web};
use env_logger::Env;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let port: u16 = match env::var("PORT") {
        Ok(port) => port.parse().map_err(|error| format!("PORT={port}: {error}"))?,
        Err(_) => 8080,
    };
    // nginx runs on this machine and connects over the loopback interface.
    let proxies = env::var("TRUSTED_PROXIES").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let proxies = proxies.split(',').map(str::trim).filter(|proxy| !proxy.is_empty());
    let guard = RateGuard::builder().client_address(ClientAddress::behind(proxies)?).build()?;

    let server = HttpServer::new(move || {
        App::new()
            .route("/", web::get().to(async || "Hello.\n"))
            .wrap(RateLimit::new(&guard, "3/minute"))
    })
    // Only processes of this machine can connect, so no client can avoid nginx.
    .bind(("127.0.0.1", port))
    .map_err(|error| format!("port {port}: {error}; set PORT for another port"))?;
    println!("Start nginx with examples/nginx.conf, and try: curl -i 127.0.0.1:8000");
    Ok(server.run().await?)
}
