//! A limit for each API key, and one for each address. Without the limit by address, a client that invents keys would
//! have a new limit with each key.
//!
//! ```sh
//! cargo run --example api_key
//! curl -i -H 'X-Api-Key: one' 127.0.0.1:8080/quote   # 3 in 10 seconds for this key
//! curl -i -H 'X-Api-Key: two' 127.0.0.1:8080/quote   # 3 for this key, but at most 5 for your address
//! ```

use actix_rateguard::{Limit, RateGuard, RateLimit, rate_limit};
use actix_web::{App, HttpServer, Responder, get};
use env_logger::Env;

#[get("/quote")]
#[rate_limit(rate = "3/10s", key = "header:X-Api-Key")]
async fn quote() -> impl Responder {
    "Patience is bitter, but its fruit is sweet.\n"
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let guard = RateGuard::in_memory();
    HttpServer::new(move || {
        App::new()
            .app_data(guard.clone())
            .wrap(RateLimit::new(&guard, Limit::new("5/10s").name("addresses")))
            .service(quote)
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await
}
